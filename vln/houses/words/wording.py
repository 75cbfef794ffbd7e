"""Clauses as sentences: which noun, which phrase, and what joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from vln.houses.words import phrases
from vln.houses.words.clauses import Clause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vln.houses.words.sayings import Saying

JOINTS: Final = (", ", " and ", ". ", ", then ", ". Then ", ". Next, ", " and then ", ". Now ")
JOINT_CHANCES: Final = (0.24, 0.26, 0.3, 0.06, 0.04, 0.02, 0.04, 0.04)
LAST_JOINTS: Final = (" and ", ". ", ", then ", " and then ")
LAST_CHANCES: Final = (0.34, 0.34, 0.16, 0.16)
SYNONYM_CHANCE: Final = 0.2
BREVITY: Final = 0.6
"""How much rarer a phrase is for every word more."""


class Wording:
    """One writer's choice of words: avoids saying the same verb twice.

    Args:
        rng: The source of chance.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._used: list[str] = []

    def text(self, sayings: Sequence[Saying]) -> str:
        """Gives an instruction: one phrase per saying, joined to sentences."""
        return self._joined([self._phrase(saying) for saying in sayings])

    def _joined(self, pieces: Sequence[str]) -> str:
        text, clauses, joint = pieces[0], 1, ""
        for number, piece in enumerate(pieces[1:], start=2):
            joint = self._joint(clauses, is_last=number == len(pieces), before=joint)
            clauses = 1 if "." in joint else clauses + 1
            text += joint + (_capital(piece) if joint == ". " else piece)
        return _capital(text) + "."

    def _joint(self, clauses: int, *, is_last: bool, before: str) -> str:
        """Gives what joins a clause to a sentence of some clauses already; "and" comes last."""
        joints, chances = (LAST_JOINTS, LAST_CHANCES) if is_last else (JOINTS, JOINT_CHANCES)
        fits = [
            ("." in joint or clauses < 3 + is_last)
            and ("and" not in before or "." in joint or ("then" in joint and "and" not in joint))
            for joint in joints
        ]
        weights = np.array(chances) * fits
        return joints[int(self._rng.choice(len(joints), p=weights / weights.sum()))]

    def _phrase(self, saying: Saying) -> str:
        fresh = [text for text in saying.texts if text not in self._used]
        text = self._brief(fresh or saying.texts)
        self._used.append(text)
        return text.format(
            x=self._object(saying.clause, text=text),
            room=saying.room,
            next=saying.next,
            hole=self._choice(phrases.HOLES.get(saying.hole, ("door",))),
        )

    def _object(self, clause: Clause, *, text: str) -> str:
        if not clause.category:
            return ""
        noun, *others = phrases.NOUNS[clause.category]
        if others and self._rng.random() < SYNONYM_CHANCE:
            noun = self._choice(others)
        name = f"{clause.colour} {noun}".strip()
        article = "the"
        if text.endswith("with {x}") and self._rng.random() < 0.5:
            article = "an" if name[0] in "aeiou" else "a"
        return f"{article} {name}"

    def _brief(self, texts: Sequence[str]) -> str:
        chances = np.exp(-BREVITY * np.array([len(text.split()) for text in texts]))
        return texts[int(self._rng.choice(len(texts), p=chances / chances.sum()))]

    def _choice(self, texts: Sequence[str]) -> str:
        return texts[int(self._rng.integers(len(texts)))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
