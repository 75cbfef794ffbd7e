"""Followers and speakers in the files that EnvDrop and CLIP-ViL publish.

Such a file holds {"encoder": {"epoch", "state_dict", "optimizer"}, "decoder": {...}}, and a
follower's a "critic" as well. Which of the two it is, and how wide, its tensors tell. What they do
not tell: the words, the encoder of the features, and that the first state of a follower is the
maximum over its words (`--subout max`, as in every script that was released).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor, nn

from agents.follower.model import ENVDROP_NAMES as FOLLOWER_NAMES
from agents.follower.model import Follower, FollowerSizes
from agents.imported.reading import plain_floats, read_checkpoint
from agents.speaker.model import ENVDROP_NAMES as SPEAKER_NAMES
from agents.speaker.model import Speaker, SpeakerSizes
from vln.encoders.weights.download import file_sha256
from vln.errors import CheckpointMismatch, MissingData

Agent = Literal["follower", "speaker"]
Sizes = FollowerSizes | SpeakerSizes

BEST: Final[Mapping[Agent, str]] = {
    "follower": "best_val_unseen",
    "speaker": "best_val_unseen_bleu",
}
"""Of a snap folder's state_dict/, the file that EnvDrop itself goes on from."""
UNUSED: Final = frozenset(
    (
        "decoder/feat_att_layer.linear_out.weight",
        "decoder/candidate_att_layer.linear_out.weight",
        *(
            f"decoder/baseline_projection.{layer}.{kind}"
            for layer in (0, 3)
            for kind in ("weight", "bias")
        ),
    )
)
"""Tensors that are saved and never used: those of two attentions that give no mixture, and a
speaker's baseline."""
_WRAPPER: Final = "module."
"""What torch's DataParallel puts before every name."""
_REMEDY: Final = (
    "Expected a file as EnvDrop or CLIP-ViL saves it, such as snap/agent/state_dict/best_val_unseen"
)


@dataclass(frozen=True, eq=False)
class Imported:
    """An agent that somebody else trained.

    Attributes:
        agent: What it is.
        tensors: Its weights, float32, by the names that our networks of these sizes have.
        sizes: Of the networks; dropout is not in the file.
        iteration: The file's "epoch": how far training had come.
        sha256: Of the file, in hex.
    """

    agent: Agent
    tensors: Mapping[str, Tensor]
    sizes: Sizes
    iteration: int
    sha256: str


def find_file(snap: Path, *, agent: Agent | None = None) -> Path:
    """Gives the file of weights that a path stands for.

    Args:
        snap: The file itself, or a folder snap/NAME with state_dict/ in it.
        agent: Whose; the one that is there where None.

    Raises:
        MissingData: It is not there; what is there is listed.
    """
    if not snap.is_dir():
        return snap  # whether it is there, reading it tells
    folder = snap / "state_dict" if (snap / "state_dict").is_dir() else snap
    names = [BEST[agent]] if agent is not None else list(BEST.values())
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
    problem = "both " + " and ".join(names) if found else "no " + " or ".join(names)
    raise MissingData(f"{folder} holds {problem}. There: {there}. Name the file that is meant.")


def read_envdrop(file: Path, *, angles: int = 4, repeats: int = 32) -> Imported:
    """Gives the agent in a file of weights that EnvDrop or CLIP-ViL saved.

    Args:
        file: As torch.save wrote it, in either of its forms.
        angles: Numbers that describe a direction.
        repeats: How often a speaker's are repeated, which its tensors do not tell; a follower's do.

    Raises:
        MissingData: No such file.
        CorruptData: It is damaged, or would run code.
        CheckpointMismatch: Tensors are missing, surplus, or of shapes that do not go together.
    """
    parts, iteration = _parts(read_checkpoint(file), file=file)
    theirs = _named(parts)
    agent = _agent_of(theirs, file=file)
    names = _names(agent)
    _check_names(theirs, names, file=file)
    tensors = plain_floats({name: theirs[name] for name in names}, file=file)
    shapes = _Shapes(tensors, file)
    if agent == "follower":
        sizes: Sizes = _follower_sizes(shapes, angles=angles)
    else:
        sizes = _speaker_sizes(shapes, angles=angles, repeats=repeats)
    ours = {names[name]: tensor for name, tensor in tensors.items()}
    _check_shapes(ours, {mine: name for name, mine in names.items()}, sizes, file=file)
    return Imported(agent, ours, sizes, iteration, file_sha256(file))


def _parts(held: object, *, file: Path) -> tuple[dict[str, dict[str, object]], int]:
    """Gives the state dicts of a file's networks, and how far they were trained."""
    if not isinstance(held, dict) or not held:
        raise _no_snap(file, f"holds {_kind(held)}, expected networks by name")
    parts: dict[str, dict[str, object]] = {}
    for name, part in held.items():
        state = part.get("state_dict") if isinstance(part, dict) else None
        if not isinstance(state, dict):
            raise _no_snap(file, f"holds {_kind(part)} under {name!r}, without a state_dict")
        parts[str(name)] = {str(key): value for key, value in state.items()}
    iteration = next(iter(held.values())).get("epoch")
    if not isinstance(iteration, int) or iteration < 0:
        raise _no_snap(file, f'says "epoch": {iteration!r}, expected the count of iterations')
    return parts, iteration


def _no_snap(file: Path, problem: str) -> CheckpointMismatch:
    return CheckpointMismatch(f"{file} {problem}. {_REMEDY}.")


def _kind(value: object) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return f"a dict of {', '.join(map(repr, list(value)[:4])) or 'nothing'}"


def _named(parts: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Gives all tensors by network and name, such as `encoder/lstm.weight_ih_l0`."""
    named: dict[str, object] = {}
    for part, state in parts.items():
        is_wrapped = bool(state) and all(name.startswith(_WRAPPER) for name in state)
        for name, value in state.items():
            named[f"{part}/{name.removeprefix(_WRAPPER) if is_wrapped else name}"] = value
    return named


def _agent_of(theirs: Iterable[str], *, file: Path) -> Agent:
    marks: dict[Agent, tuple[str, ...]] = {
        "follower": ("critic/", "decoder/candidate_att_layer.", "encoder/encoder2decoder."),
        "speaker": ("encoder/post_lstm.", "decoder/projection."),
    }
    found = [agent for agent, mark in marks.items() if any(n.startswith(mark) for n in theirs)]
    if len(found) == 1:
        return found[0]
    problem = "both a follower and a speaker" if found else "neither a follower nor a speaker"
    raise _no_snap(file, f"is {problem} by its tensors ({_listed(theirs)})")


def _names(agent: Agent) -> dict[str, str]:
    """Gives EnvDrop's names of all tensors, with ours."""
    modules = FOLLOWER_NAMES if agent == "follower" else SPEAKER_NAMES
    names: dict[str, str] = {}
    for ours in _shapes_of(_smallest(agent)):
        module = next(module for module in modules if ours.startswith(f"{module}."))
        part, _, rest = (modules[module] + ours.removeprefix(module)).partition(".")
        names[f"{part.removeprefix('speaker_')}/{rest}"] = ours
    return names


def _smallest(agent: Agent) -> Sizes:
    kind = FollowerSizes if agent == "follower" else SpeakerSizes
    return kind(vocabulary=1, features=0, word=1, hidden=2)


def _shapes_of(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Gives the shapes of a network's tensors.

    It is made for that, which takes a second; on the device `meta`, whose first use imports half
    of torch, ten.
    """
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = Follower(sizes) if isinstance(sizes, FollowerSizes) else Speaker(sizes)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check_names(theirs: Iterable[str], names: Iterable[str], *, file: Path) -> None:
    given, wanted = set(theirs), set(names)
    missing, surplus = wanted - given, given - wanted - UNUSED
    if missing or surplus:
        raise CheckpointMismatch(
            f"{file} is not EnvDrop's network: missing {_listed(missing)}; surplus "
            f"{_listed(surplus)}. {_REMEDY}."
        )


def _check_shapes(
    tensors: Mapping[str, Tensor], theirs: Mapping[str, str], sizes: Sizes, *, file: Path
) -> None:
    wrong = [
        f"{theirs[name]} is {tuple(tensors[name].shape)}, expected {shape}"
        for name, shape in _shapes_of(sizes).items()
        if tuple(tensors[name].shape) != shape
    ]
    if wrong:
        raise CheckpointMismatch(
            f"{file}: shapes do not go together: {'; '.join(wrong)}; where {sizes} was read off "
            f"the others. {_REMEDY}."
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


class _Shapes:
    """Widths of matrices by EnvDrop's names."""

    def __init__(self, tensors: Mapping[str, Tensor], file: Path) -> None:
        self._tensors, self.file = tensors, file

    def of(self, name: str) -> tuple[int, int]:
        """Gives rows and columns of a matrix."""
        shape = self._tensors[name].shape
        if len(shape) != 2 or not all(shape):
            raise self.wrong(f"{name} is {tuple(shape)}, expected a matrix")
        return shape[0], shape[1]

    def states(self, name: str) -> int:
        """Gives the width of states, which a square matrix takes and gives."""
        rows, columns = self.of(name)
        if rows != columns or rows % 2:
            problem = "expected a square of an even number, half per direction"
            raise self.wrong(f"{name} is {(rows, columns)}, {problem}")
        return rows

    def features(self, name: str, *, rows: int, others: int) -> int:
        """Gives the visual features among what a matrix takes, beside `others`."""
        shape = self.of(name)
        if shape[0] != rows or shape[1] < others:
            problem = f"expected {rows} rows, and {others} columns or more, for what is not seen"
            raise self.wrong(f"{name} is {shape}, {problem}")
        return shape[1] - others

    def wrong(self, problem: str) -> CheckpointMismatch:
        """Gives the error for widths that cannot be."""
        return CheckpointMismatch(f"{self.file}: {problem}. {_REMEDY}.")


def _follower_sizes(shapes: _Shapes, *, angles: int) -> FollowerSizes:
    vocabulary, word = shapes.of("encoder/embedding.weight")
    hidden = shapes.states("encoder/encoder2decoder.weight")
    action, width = shapes.of("decoder/embedding.0.weight")
    if width % angles:
        raise shapes.wrong(f"{width} angle numbers, expected a multiple of {angles}")
    return FollowerSizes(
        vocabulary=vocabulary,
        features=shapes.features("decoder/lstm.weight_ih", rows=4 * hidden, others=action + width),
        word=word,
        hidden=hidden,
        action=action,
        angles=angles,
        angle_repeats=width // angles,
    )


def _speaker_sizes(shapes: _Shapes, *, angles: int, repeats: int) -> SpeakerSizes:
    vocabulary, word = shapes.of("decoder/embedding.weight")
    hidden = shapes.states("decoder/attention_layer.linear_in.weight")
    first = "encoder/lstm.weight_ih_l0"  # half of the states, four gates
    return SpeakerSizes(
        vocabulary=vocabulary,
        features=shapes.features(first, rows=2 * hidden, others=angles * repeats),
        word=word,
        hidden=hidden,
        angles=angles,
        angle_repeats=repeats,
    )
