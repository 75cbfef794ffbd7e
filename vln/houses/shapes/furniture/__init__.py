"""How objects look: the solids that every category is built of.

Knows nothing of rooms; where an object stands is the item's own matter.
"""

from __future__ import annotations

from typing import Final

from vln.houses.building.scene import Item
from vln.houses.shapes.furniture import (
    bath,
    decor,
    kitchen,
    music,
    pictures,
    play,
    seats,
    storage,
    tables,
)
from vln.houses.shapes.furniture.kit import Builder, Kit
from vln.houses.shapes.solids import Part

BUILDERS: Final[dict[str, Builder]] = {
    name: builder
    for module in (seats, tables, storage, kitchen, bath, music, play, pictures, decor)
    for name, builder in module.BUILDERS.items()
}
"""Every category's builder, by name."""


def parts(item: Item) -> tuple[Part, ...]:
    """Gives the solids of an object in its own frame: x to its right, y out of its front, z up.

    All lie in its size, its base at z = 0; only a pendant lamp's cord reaches above, to the
    ceiling. The same object at the same place always looks the same.
    """
    return tuple(BUILDERS[item.category](Kit.of(item)))
