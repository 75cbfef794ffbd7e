"""The words of guides who talk while they walk: what they say of places, turns and steps.

In a sentence {x} and {y} are objects, {at} and {by} where they are ("on your left"), {room} the
room one is in or comes to, {hole} what leads there. Sentences have neither capital nor full stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Voice:
    """How one annotator speaks.

    Attributes:
        annotator: Its id.
        language: IETF tag.
        pace: Words per second.
        openers: What it may begin with.
        links: What it may put before a sentence that tells what to do.
        chatty: Chance of such a link.
    """

    annotator: int
    language: str
    pace: float
    openers: tuple[str, ...]
    links: tuple[str, ...]
    chatty: float


VOICES: Final = (
    Voice(1, "en-US", 2.6, ("", "okay,", "all right,"), ("now", "then", "next,"), 0.4),
    Voice(2, "en-US", 2.2, ("",), ("then", "after that,", "from there,"), 0.5),
    Voice(3, "en-US", 2.9, ("so,", "okay, so"), ("now", "from here,", "and now"), 0.6),
    Voice(4, "en-US", 2.0, ("",), ("next,", "once there,", "then"), 0.3),
    Voice(5, "en-IN", 2.4, ("okay, now", "now"), ("now", "then", "now slowly"), 0.6),
    Voice(6, "en-IN", 2.1, ("", "right now"), ("now", "after that", "again"), 0.4),
    Voice(7, "en-IN", 2.7, ("okay,",), ("then", "and then", "next"), 0.5),
    Voice(8, "en-IN", 1.9, ("", "here"), ("now just", "then", "from that point"), 0.4),
)

START: Final = (
    "you are standing in {room}",
    "you are in {room}",
    "you find yourself in {room}",
    "you begin in {room}",
    "you are inside {room}",
)
START_FACING: Final = (
    "you are standing in {room} facing towards {x}",
    "you are in {room} looking at {x}",
    "you begin in {room} with {x} right ahead",
    "you are facing {x} in {room}",
    "you find yourself in {room} where {x} is in front of you",
)

SCENE: Final = (
    "you will see {x} {at}",
    "there is {x} {at}",
    "{at} is {x}",
    "{at} you can see {x}",
    "you have {x} {at}",
    "notice {x} {at}",
    "{x} is {at}",
    "you can spot {x} {at}",
    "{at} stands {x}",
)
SCENE_HUNG: Final = SCENE[:-1]
"""For what does not stand on the floor by itself."""
PAIR: Final = (
    "you have {x} {at} and {y} {by}",
    "{at} is {x} and {by} {y}",
    "you will see {x} {at} and {y} {by}",
    "{x} is {at} and {y} is {by}",
    "there is {x} {at} and also {y} {by}",
    "notice {x} {at} and {y} {by}",
)
ROOM_SCENE: Final = (
    "this is {room} with {wall}",
    "the room has {wall} and {floor}",
    "you are now in {room} with {floor}",
)
LEFT: Final = ("on your left", "to your left", "on the left", "on your left-hand side")
RIGHT: Final = ("on your right", "to your right", "on the right", "on your right-hand side")
AHEAD: Final = ("in front of you", "ahead of you", "straight ahead", "right in front of you")
FRONT_LEFT: Final = ("ahead to your left", "slightly to the left", "a little left of straight on")
FRONT_RIGHT: Final = (
    "ahead to your right",
    "slightly to the right",
    "a little right of straight on",
)
BEHIND: Final = ("behind you", "at your back")

TURN: Final[dict[str, tuple[str, ...]]] = {
    "slight": ("turn slightly {side}", "bear {side}", "make a slight {side}", "veer {side}"),
    "plain": ("turn {side}", "take a {side}", "turn to your {side}", "make a {side} turn"),
    "sharp": ("turn sharply {side}", "take a sharp {side}", "make a hard {side} turn"),
    "around": ("turn around", "turn right around", "make a U-turn", "turn all the way around"),
}
TURN_FACING: Final[dict[str, tuple[str, ...]]] = {
    "slight": ("turn slightly {side} until {x} is ahead", "bear {side} to face {x}"),
    "plain": (
        "turn {side} until you are facing {x}",
        "turn {side} so that {x} is in front of you",
        "take a {side} turn to face {x}",
    ),
    "sharp": ("turn sharply {side} until you face {x}", "make a sharp {side} towards {x}"),
    "around": (
        "turn around so that you are facing {x}",
        "turn yourself around until {x} is ahead",
    ),
}

TURN_AT: Final[dict[str, tuple[str, ...]]] = {
    "slight": ("bear {side} at {x}", "turn slightly {side} near {x}"),
    "plain": ("turn {side} at {x}", "take a {side} near {x}", "turn {side} by {x}"),
    "sharp": ("turn sharply {side} at {x}", "take a sharp {side} by {x}"),
    "around": ("turn around at {x}", "make a U-turn by {x}"),
}

PAST: Final = (
    "walk past {x} {at}",
    "go past {x} {at}",
    "move ahead crossing {x} {at}",
    "keep walking with {x} {at}",
    "pass by {x} {at}",
    "continue by {x} {at}",
)
TOWARDS: Final = (
    "walk towards {x}",
    "move forward in the direction of {x}",
    "head straight to {x}",
    "step forward towards {x}",
    "go ahead approaching {x}",
    "take a few steps closer to {x}",
)
ACROSS: Final = ("walk across {x}", "step over {x}", "go straight over {x}")
UNDER: Final = ("walk under {x}", "pass below {x}", "go straight beneath {x}")
PLAIN: Final = (
    "walk straight",
    "move forward",
    "go straight ahead for about {steps} steps",
    "take {steps} steps forward",
    "keep going straight",
    "continue forward",
)
THROUGH: Final = (
    "go through the {hole}",
    "walk through the {hole}",
    "step through the {hole}",
    "pass through the {hole}",
)
INTO: Final = (
    "go through the {hole} into {room}",
    "enter {room}",
    "walk into {room}",
    "step into {room} by the {hole}",
    "go inside {room}",
    "take the {hole} to {room}",
    "exit through the {hole} into {room}",
    "cross the {hole} into {room}",
)
INTO_WITH: Final = (
    "enter {room} with {x}",
    "go into {room} where {x} is",
    "take the {hole} to {room} with {x}",
    "step into {room} that has {x}",
)
"""The object stands in the room one comes to, and is seen from before its door."""
UP: Final = ("climb the stairs", "walk up the stairs", "go up the staircase", "take the steps up")
DOWN: Final = (
    "walk down the stairs",
    "go down the staircase",
    "take the steps down",
    "descend the stairs",
)
HOLES: Final[dict[str, tuple[str, ...]]] = {
    "door": ("door", "doorway", "open door", "door opening"),
    "arch": ("archway", "arch", "wide opening", "arched opening"),
}

STOP_BESIDE: Final = (
    "stop right beside {x}",
    "stop once you are next to {x}",
    "halt close to {x}",
    "come to a stop near {x}",
    "stand next to {x}",
    "stop here beside {x}",
)
STOP_FACING: Final = (
    "stop when {x} is in front of you",
    "stop there facing {x}",
    "come to a stop looking at {x}",
    "stand facing {x}",
)
STOP_UNDER: Final = ("stop under {x}", "come to a stop right below {x}", "stand beneath {x}")
STOP: Final = ("stop here", "stop right there", "wait at this spot", "come to a stop")
END: Final = (
    "this is your destination",
    "you have reached your destination",
    "that is the end point",
    "you are done",
    "this is the final point",
)

ROOMS: Final[dict[str, tuple[str, ...]]] = {
    "bedroom": ("bedroom",),
    "bathroom": ("bathroom", "washroom"),
    "kitchen": ("kitchen",),
    "living room": ("living room", "lounge"),
    "dining room": ("dining room",),
    "office": ("office", "study room"),
    "library": ("library", "reading room"),
    "playroom": ("playroom", "kids' playroom"),
    "laundry room": ("laundry room", "laundry"),
    "gym": ("gym", "workout room"),
    "music room": ("music room",),
    "hallway": ("hallway", "corridor", "passage"),
}
NUMBERS: Final = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
