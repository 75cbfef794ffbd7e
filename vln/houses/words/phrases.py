"""The words of instructions: nouns for every category, and phrases for every kind of clause.

Texts are put together from these phrases and taken apart by them again, so what can be written can
be read. In a phrase, {x} is an object ("the green bed"), {room} the room one is in, {next} the room
one comes to. No phrase holds a comma, a full stop, "and" or "then": those join clauses.
"""

from __future__ import annotations

from typing import Final

from vln.houses.building.catalogue import CATEGORIES

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "sofa": ("couch",),
    "armchair": ("easy chair",),
    "nightstand": ("bedside table",),
    "bookcase": ("bookshelf",),
    "wardrobe": ("closet",),
    "dresser": ("chest of drawers",),
    "cabinet": ("cupboard",),
    "trunk": ("chest",),
    "coat rack": ("coat stand",),
    "counter": ("kitchen counter",),
    "stove": ("cooker",),
    "refrigerator": ("fridge",),
    "bathtub": ("tub",),
    "washing machine": ("washer",),
    "television": ("TV",),
    "treadmill": ("running machine",),
    "exercise ball": ("gym ball",),
    "teddy bear": ("stuffed bear",),
    "plant": ("potted plant",),
    "picture": ("painting",),
    "monitor": ("computer screen",),
    "pendant lamp": ("hanging lamp",),
    "floor lamp": ("standing lamp",),
    "lamp": ("table lamp",),
    "table": ("rectangular table",),
}
"""What else people call a category; no word here names two of them."""

NOUNS: Final[dict[str, tuple[str, ...]]] = {
    category: (category, *SYNONYMS.get(category, ())) for category in CATEGORIES
}
"""Every noun of a category, its own name first."""

CATEGORY_OF: Final[dict[str, str]] = {
    noun.lower(): category for category, nouns in NOUNS.items() for noun in nouns
}

TOWARDS: Final = (
    "walk towards {x}",
    "go towards {x}",
    "head towards {x}",
    "move towards {x}",
    "continue towards {x}",
    "head for {x}",
    "walk in the direction of {x}",
    "go on towards {x}",
    "make your way towards {x}",
    "take a few steps towards {x}",
)
ACROSS: Final = (
    "walk through the {room} towards {x}",
    "cross the {room} towards {x}",
    "go across the {room} towards {x}",
)
PAST: Final = (
    "walk past {x}",
    "go past {x}",
    "pass {x}",
    "continue past {x}",
    "move past {x}",
)
ROUND: Final[dict[str, tuple[str, ...]]] = {
    "left": ("turn left towards {x}", "go left towards {x}"),
    "right": ("turn right towards {x}", "go right towards {x}"),
    "straight": ("go straight towards {x}", "walk straight towards {x}"),
    "around": ("turn around towards {x}",),
}
"""A turn and the object that one comes to look at; the object decides."""
REACH: Final = (
    "walk to {x}",
    "go to {x}",
    "walk up to {x}",
    "go over to {x}",
    "walk until you reach {x}",
    "keep walking until you are at {x}",
    "go as far as {x}",
    "proceed to {x}",
)
BEYOND: Final = (
    "go through the {hole} towards {x}",
    "walk through the {hole} towards {x}",
    "leave the {room} towards {x}",
    "exit the {room} towards {x}",
    "walk into the {next} towards {x}",
)
INTO: Final = (
    "enter the {next} with {x}",
    "go into the {next} with {x}",
    "step into the room with {x}",
)
"""For objects in the very room that one comes to."""
BESIDE: Final = (
    "go through the {hole} beside {x}",
    "take the {hole} next to {x}",
    "leave the {room} through the {hole} by {x}",
    "walk out of the {hole} next to {x}",
)
DOOR: Final = (
    "leave the {room}",
    "exit the {room}",
    "walk out of the {room}",
    "go through the {hole}",
)
"""Read, but not written: what shows objects alone shows no doors."""
HOLES: Final[dict[str, tuple[str, ...]]] = {"door": ("door", "doorway"), "arch": ("archway",)}

TURN: Final[dict[str, tuple[str, ...]]] = {
    "left": ("turn left", "take a left", "make a left turn", "go left"),
    "right": ("turn right", "take a right", "make a right turn", "go right"),
    "straight": ("go straight", "walk straight ahead", "keep going straight", "go straight on"),
    "around": ("turn around", "go back the other way"),
}
TURN_AT: Final[dict[str, tuple[str, ...]]] = {
    "left": ("turn left at {x}", "go left at {x}", "take a left at {x}", "make a left at {x}"),
    "right": ("turn right at {x}", "go right at {x}", "take a right at {x}", "make a right at {x}"),
}
CLIMB: Final[dict[str, tuple[str, ...]]] = {
    "up": ("go up the stairs", "walk up the stairs", "climb the stairs", "take the stairs up"),
    "down": ("go down the stairs", "walk down the stairs", "take the stairs down", "go downstairs"),
}
STOP: Final = (
    "stop beside {x}",
    "stop next to {x}",
    "stop by {x}",
    "stop near {x}",
    "wait beside {x}",
    "wait next to {x}",
    "wait by {x}",
    "wait near {x}",
)
STOP_NEAR: Final = ("stop near {x}", "stop by {x}", "wait near {x}", "wait by {x}")
STOP_FACING: Final = ("stop in front of {x}", "wait in front of {x}")
STOP_UNDER: Final = ("stop under {x}", "wait below {x}")
STOP_THERE: Final = ("stop there", "wait there")

ADVERBS: Final = ("then", "next", "now", "after that", "from there", "first", "finally")
