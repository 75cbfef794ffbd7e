"""The words of captions: their nouns, colours and sentences, kept apart from the instructions'.

A model that is pre-trained on captions and tested on instructions so has to know things, not only
strings. In a sentence {a}, {b} and {c} are objects, {room} is the room, {floor} and {wall} are what
it is finished with.
"""

from __future__ import annotations

from typing import Final

NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "bed": ("bed", "double bed"),
    "sofa": ("couch", "settee", "sofa"),
    "armchair": ("easy chair", "lounge chair", "armchair"),
    "chair": ("side chair", "chair", "seat"),
    "stool": ("stool", "bar stool"),
    "bench": ("bench", "sitting bench"),
    "table": ("dining table", "table"),
    "round table": ("circular table", "round table"),
    "coffee table": ("low table", "coffee table"),
    "desk": ("writing desk", "work table", "desk"),
    "nightstand": ("bedside cabinet", "night table", "bedside table"),
    "bookcase": ("bookshelf", "bookcase", "book rack"),
    "wardrobe": ("armoire", "closet", "clothes cupboard"),
    "dresser": ("chest of drawers", "sideboard", "bureau"),
    "cabinet": ("cupboard", "locker", "cabinet"),
    "shelf": ("shelving unit", "open shelf", "storage rack"),
    "trunk": ("storage chest", "trunk", "blanket box"),
    "basket": ("hamper", "laundry basket", "basket"),
    "coat rack": ("coat stand", "clothes tree", "coat rack"),
    "counter": ("worktop", "kitchen unit", "counter"),
    "stove": ("cooker", "kitchen range", "oven"),
    "refrigerator": ("fridge", "refrigerator"),
    "microwave": ("microwave oven", "microwave"),
    "kettle": ("teakettle", "kettle"),
    "sink": ("washbasin", "basin", "sink"),
    "toilet": ("lavatory", "toilet bowl", "toilet"),
    "bathtub": ("bath", "tub", "bathtub"),
    "shower": ("shower cabin", "shower stall", "shower"),
    "towel rack": ("towel stand", "towel rail", "towel holder"),
    "washing machine": ("washer", "front loader", "washing machine"),
    "ironing board": ("ironing board", "ironing table"),
    "television": ("TV", "flat screen", "TV set"),
    "piano": ("upright piano", "piano"),
    "guitar": ("guitar", "acoustic guitar"),
    "drum": ("drum", "floor drum"),
    "treadmill": ("running machine", "exercise treadmill", "treadmill"),
    "exercise ball": ("gym ball", "fitness ball", "yoga ball"),
    "rocking horse": ("toy horse", "rocking horse"),
    "teddy bear": ("stuffed bear", "plush bear", "teddy"),
    "easel": ("painter's stand", "easel", "drawing stand"),
    "globe": ("world globe", "globe"),
    "fireplace": ("hearth", "mantelpiece", "fireplace"),
    "aquarium": ("fish tank", "aquarium"),
    "monitor": ("computer screen", "desktop screen", "monitor"),
    "plant": ("potted plant", "houseplant", "pot plant"),
    "floor lamp": ("standing lamp", "tall lamp", "floor lamp"),
    "lamp": ("table lamp", "shaded lamp", "lamp"),
    "vase": ("flower vase", "vase"),
    "rug": ("mat", "floor mat", "area rug"),
    "picture": ("painting", "framed print", "artwork"),
    "mirror": ("wall mirror", "looking glass", "mirror"),
    "clock": ("wall clock", "round clock", "clock"),
    "pendant lamp": ("hanging light", "ceiling lamp", "suspended lamp"),
}
"""Nouns of every category, the likelier first."""

COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "dark green"),
    "turquoise": ("turquoise", "teal"),
    "blue": ("blue", "navy"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
    "brown": ("brown", "chestnut"),
    "black": ("black", "jet-black"),
    "white": ("white", "off-white"),
    "grey": ("grey", "gray"),
}
"""Words of every colour, the likelier first."""

ROOMS: Final[dict[str, tuple[str, ...]]] = {
    "bedroom": ("bedroom", "sleeping room"),
    "bathroom": ("bathroom", "washroom"),
    "kitchen": ("kitchen",),
    "living room": ("living room", "lounge", "sitting room"),
    "dining room": ("dining room", "dining area"),
    "office": ("office", "study", "home office"),
    "library": ("library", "reading room"),
    "playroom": ("playroom", "children's room"),
    "laundry room": ("laundry room", "utility room"),
    "gym": ("home gym", "exercise room", "gym"),
    "music room": ("music room", "music studio"),
    "hallway": ("hallway", "corridor", "passage"),
}

ALONE: Final = (
    "A view of {room} showing {a}.",
    "{a} somewhere in {room}.",
    "{room} that contains {a}.",
    "This photo shows {a} in {room}.",
    "{a} can be seen in this {bare}.",
    "There is {a} inside {room}.",
)
AT: Final = (
    "{a} {place} in {room}.",
    "In this {bare}, {a} {place}.",
    "{a} {place}, photographed in {room}.",
    "{room} with {a} {place}.",
)
"""{place} is "against the wall", "by the window"."""
TWO: Final = (
    "{a} {relation} {b} in {room}.",
    "{room} with {a} {relation} {b}.",
    "In {room}, {a} {relation} {b}.",
    "{a} {relation} {b}.",
    "A picture of {a} {relation} {b}.",
    "The {bare} here has {a} {relation} {b}.",
)
"""{relation} is "to the left of", "on top of"."""
DEPTH: Final = (
    "{a} in the foreground and {b} in the background.",
    "{a} up close, with {b} farther back.",
    "{a} close to the camera and {b} at the far end of this {bare}.",
    "{a} nearby and {b} far off at the other end.",
)
THREE: Final = (
    "{a} {relation} {b}, and {c} off to the {side}.",
    "{room} containing {a} {relation} {b}, plus {c} on the {side}.",
    "{c} on the {side} of the image, with {a} {relation} {b}.",
    "{a}, {b} and {c} in {room}.",
    "The {bare} holds {a}, {b} and {c}.",
)
BEYOND: Final = (
    "{a} in another room, seen through an opening from {room}.",
    "Looking from {room} into the next one, {a} is visible.",
    "A glimpse from {room} of {a} in the room beyond.",
    "Through an open doorway of {room}, {a} shows up.",
)
"""The object stands in another room than the camera."""
FINISHES: Final = (" with {wall}", " with {floor}", " with {wall} and {floor}")
"""Put behind the room, where no other "with" follows."""

HUNG: Final = ("mounted on the wall", "hanging on the wall", "up on the wall", "fixed to the wall")
CEILING: Final = ("hanging from the ceiling", "suspended overhead", "dangling from the ceiling")
AGAINST: Final = ("against the wall", "placed along the wall", "with its back to the wall")
CORNER: Final = ("in the corner", "tucked into a corner", "set in a corner")
WINDOW: Final = ("beside a window", "near the window", "next to a window")
BEFORE_WINDOW: Final = ("in front of a window", "below the window", "under a window")

LEFT: Final = ("to the left of", "left of", "on the left side of")
RIGHT: Final = ("to the right of", "right of", "on the right side of")
ON: Final = ("on top of", "resting on", "placed on", "sitting on")
ON_RUG: Final = ("standing on", "placed on", "on")
ABOVE: Final = ("above", "hanging over", "on the wall above")
OVER: Final = ("hanging above", "suspended over")
BESIDE: Final = ("next to", "beside", "alongside", "close to")
BEFORE: Final = ("in front of", "standing before")
BEHIND: Final = ("behind", "farther back than")
