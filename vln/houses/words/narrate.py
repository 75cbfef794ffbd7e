"""Room-Across-Room's guide records of a home: long, dense instructions on paths that wander.

A guide stands at a viewpoint, says what is in sight, turns, walks on; every object is named from
where it covers `NAMED_PIXELS` and where nothing else in sight has its name. Wording is in
`telling`, paths in `detours`, pose traces in `traces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter
from typing import Any, Final

import numpy as np

from vln.geometry import TURN
from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import Sights
from vln.houses.words.detours import detours
from vln.houses.words.itinerary import Itinerary
from vln.houses.words.naming import likely, pick, size_words, substance, with_article
from vln.houses.words.phrases import NOUNS
from vln.houses.words.remarks import Remark, Remarks
from vln.houses.words.speech import Clause, Speech, spoken
from vln.houses.words.telling import VOICES, Voice

SHORTEST, LONGEST = 60, 120
"""Words of an instruction."""
PER_PATH: Final = 2
"""Instructions of a path, each by another annotator."""
_TRIES: Final = 12


def guide_records(
    rng: np.random.Generator,
    home: Home,
    walk: Walk,
    sights: Sights,
    *,
    split: str,
    count: int,
    first_id: int,
) -> list[dict[str, Any]]:
    """Gives guide records with RxR's fields, and two of our own.

    `objects` lists (first word, word after the last, index of the home's object) per object named;
    `glances` lists (first word, index into the path, heading, elevation): where the guide is and
    looks from that word on. Words count as in `timed_instruction`. `edit_distance` is 0: nobody
    had to write down what was said.

    Args:
        rng: Decides on paths and wording.
        home: The home.
        walk: Its viewpoints.
        sights: What is seen from them.
        split: Written into the records.
        count: How many instructions; two share a path.
        first_id: The first `instruction_id`; a path's id is that of its first instruction.
    """
    paths = detours(rng, walk, count=-(-count // PER_PATH))
    result: list[dict[str, Any]] = []
    for path in paths:
        heading = round(float(rng.uniform(0.0, TURN)), 6)
        itinerary = Itinerary(home, walk, sights, path=path, heading=heading)
        path_id = first_id + len(result)
        for voice in rng.permutation(len(VOICES))[: min(PER_PATH, count - len(result))]:
            said = _told(rng, itinerary, VOICES[voice])
            result.append(
                {
                    "split": split,
                    "instruction_id": first_id + len(result),
                    "annotator_id": VOICES[voice].annotator,
                    "language": VOICES[voice].language,
                    "path_id": path_id,
                    "scan": home.scan,
                    "path": [walk.ids[v] for v in path],
                    "heading": heading,
                    "instruction": said.text(),
                    "timed_instruction": said.timed(),
                    "edit_distance": 0.0,
                    "objects": said.objects,
                    "glances": said.glances,
                }
            )
    return result


def _told(rng: np.random.Generator, itinerary: Itinerary, voice: Voice) -> Speech:
    """Gives an instruction of a length that RxR's have."""
    best: Speech | None = None
    for attempt in range(_TRIES):
        most = int(rng.integers(88, LONGEST)) - 4 * attempt
        remarks = _chosen(rng, Remarks(rng, itinerary, is_brief=attempt > 1).all(), most=most)
        wording = _Wording(rng, itinerary)
        speech = spoken(rng, [wording.clause(remark) for remark in remarks], voice=voice)
        if SHORTEST <= len(speech.words) <= LONGEST:
            return speech
        if best is None or _excess(speech) < _excess(best):
            best = speech
    assert best is not None
    return best


def _excess(speech: Speech) -> int:
    return max(SHORTEST - len(speech.words), len(speech.words) - LONGEST)


def _chosen(rng: np.random.Generator, remarks: Sequence[Remark], *, most: int) -> list[Remark]:
    """Gives what has to be said, and as much else as fits into `most` words, in order."""
    length = sum(remark.length() for remark in remarks if remark.is_needed)
    kept = {i for i, remark in enumerate(remarks) if remark.is_needed}
    for i in rng.permutation(len(remarks)).tolist():
        if i not in kept and length + remarks[i].length() <= most:
            kept.add(i)
            length += remarks[i].length()
    return [remarks[i] for i in sorted(kept)]


class _Wording:
    """Fills the holes of remarks: something new is "a tall red lamp", then "the red lamp"."""

    def __init__(self, rng: np.random.Generator, itinerary: Itinerary) -> None:
        self._rng = rng
        self._itinerary = itinerary
        self._noun: dict[int, str] = {}
        self._topic = -1

    def clause(self, remark: Remark) -> Clause:
        """Gives the words of a remark and the objects they name."""
        words: list[str] = []
        objects: list[tuple[int, int, int]] = []
        for literal, name, _, _ in Formatter().parse(remark.sentence):
            words += literal.split()
            if name is None:
                continue
            slot = remark.slots[name]
            said = slot if isinstance(slot, str) else self._object(slot, known=remark.is_order)
            first = len(words)
            words += said.split()
            if isinstance(slot, int):
                objects.append((first, len(words), slot))
        self._topic = objects[0][2] if len(objects) == 1 else -1
        return Clause(
            words=tuple(words),
            is_order=remark.is_order,
            step=remark.step,
            heading=remark.heading,
            elevation=remark.elevation,
            objects=tuple(objects),
        )

    def _object(self, index: int, *, known: bool) -> str:
        rng, item = self._rng, self._itinerary.item(index)
        if index == self._topic and known:
            return "it"
        if index in self._noun:
            return f"the {self._noun[index]}"
        noun = f"{item.colour} {likely(rng, NOUNS[item.category])}"
        self._noun[index] = noun
        if substance(item) and rng.random() < 0.3:
            noun = noun.replace(" ", f" {pick(rng, substance(item))} ", 1)
        if size_words(item) and rng.random() < 0.3:
            noun = f"{pick(rng, size_words(item))} {noun}"
        return f"the {noun}" if known else with_article(noun)
