"""Whatever counts as a number, list, truth or text to the C++ module counts here too."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

STEP = math.pi / 6

NUMBERS = {
    "int": int,
    "float": float,
    "bool": bool,
    "Fraction": Fraction,
    "Decimal": Decimal,
    **{
        name: getattr(np, name)
        for name in (
            "int8",
            "int32",
            "int64",
            "uint8",
            "uint64",
            "float16",
            "float32",
            "float64",
            "longdouble",
        )
    },
    "np.bool": np.bool_,
    "no dimension": np.array,
    "one float": lambda value: np.array([float(value)]),
    "one int": lambda value: np.array([[value]]),
}
NO_INDICES = {"float", "float64"}


def torch_numbers(kind):
    torch = pytest.importorskip("torch")
    return {
        "int": lambda value: torch.tensor(value),
        "float": lambda value: torch.tensor(float(value)),
        "one": lambda value: torch.tensor([value]),
        "bool": lambda value: torch.tensor(bool(value)),
        "gradient": lambda value: torch.tensor(float(value), requires_grad=True),
    }[kind]


TORCH = ["int", "float", "one", "bool", "gradient"]


@pytest.fixture(params=[*NUMBERS, *(f"torch {kind}" for kind in TORCH)])
def kind(request):
    return request.param


@pytest.fixture
def made_of(kind):
    """Makes a number of one kind of an int."""
    return NUMBERS[kind] if kind in NUMBERS else torch_numbers(kind.removeprefix("torch "))


@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("discretized", [True, False])
def test_an_action_takes_numbers_of_every_kind(simulator, kind, made_of, discretized, scalar):
    made, plain = (simulator(discretized=discretized) for _ in range(2))
    for each in (made, plain):
        if scalar:
            each.newEpisode("house", "a", 0.0, 0.0)
        else:
            each.newEpisode(["house"], ["a"], [0.0], [0.0])
    index = 1 if kind in NO_INDICES else made_of(1)
    given = index, made_of(1), made_of(1)

    made.makeAction(*(given if scalar else ([one] for one in given)))
    plain.makeAction(*((1, 1.0, 1.0) if scalar else ([1], [1.0], [1.0])))

    (found, known) = (each.getState() if scalar else each.getState()[0] for each in (made, plain))
    assert found.location.viewpointId == "b"
    assert repr(found) == repr(known)
    assert {type(found.heading), type(found.elevation)} == {float}


@pytest.mark.parametrize("discretized", [True, False])
def test_kinds_may_be_mixed_and_signs_count(simulator, discretized):
    made = simulator(4, discretized=discretized)
    made.newEpisode(["house"] * 4, ["a"] * 4, [0.0] * 4, [0.0] * 4)

    made.makeAction(
        [np.array([1]), 0, np.bool_(True), np.float32(0)],  # noqa: FBT003
        [np.sign(-2.0), 1, np.array([0.0]), Fraction(1, 2)],
        [0, np.float32(-1), 10**20, 0.0],
    )

    states = made.getState()
    assert [state.location.viewpointId for state in states] == ["b", "a", "b", "a"]
    turn = [-STEP, STEP, 0, STEP] if discretized else [-1, 1, 0, 0.5]
    tilt = [0, -STEP, STEP, 0] if discretized else [0, -0.94, 0.94, 0]
    assert [state.heading for state in states] == pytest.approx([t % math.tau for t in turn])
    assert [state.elevation for state in states] == pytest.approx(tilt)


def test_a_start_takes_numbers_of_every_kind(simulator, made_of):
    made = simulator(discretized=False)
    made.newEpisode(["house"], ["a"], [made_of(1)], [made_of(0)])
    assert (made.getState()[0].heading, made.getState()[0].elevation) == (1, 0)


class Listed:
    """No `Sequence`, and yet one to Python of old."""

    def __init__(self, *values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]


@pytest.mark.parametrize(
    "listed",
    [
        Listed,
        lambda *values: values,
        lambda *values: np.array(values)[:, None],
        lambda *values: np.array(values, dtype=np.float32),
        lambda *values: np.array(values, dtype=object),
    ],
)
@pytest.mark.parametrize("discretized", [True, False])
def test_sequences_of_every_kind_are_lists(simulator, listed, discretized):
    made = simulator(2, discretized=discretized)
    made.newEpisode(["house"] * 2, Listed("a", "a"), listed(0, 0), listed(0, 0))

    made.makeAction(listed(1, 0), listed(0, 1), listed(0, 0))

    assert [state.location.viewpointId for state in made.getState()] == ["b", "a"]
    assert made.getState()[1].heading == pytest.approx(STEP if discretized else 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (None, False), (0, False), (2.0, True), (np.False_, False), (np.ones(1), True)],
)
def test_truth_is_a_bool_none_or_a_number(simulator, value, expected):
    made = simulator()
    made.setDiscretizedViewingAngles(value)
    made.newEpisode(["house"], ["a"], [1.0], [0.0])
    assert (made.getState()[0].heading == 1.0) is not expected


def test_settings_take_numbers_of_every_kind(simulator, kind, made_of):
    made = simulator()
    made.setCameraVFOV(made_of(1))
    if kind not in NO_INDICES:
        made.setBatchSize(made_of(1))
        made.setCameraResolution(made_of(1), made_of(1))
    made.initialize()
    assert len(made.getState()) == 1


def test_bytes_are_text(simulator, crossing_folder):
    made = simulator()
    made.setNavGraphPath(str(crossing_folder).encode())
    made.newEpisode([b"house"], [b"b"], [0.0], [0.0])
    (state,) = made.getState()
    assert (state.scanId, state.location.viewpointId) == ("house", "b")
    made.newEpisode(b"house", b"a", 0.0, 0.0)
    assert (made.getState().scanId, made.getState().location.viewpointId) == ("house", "a")
