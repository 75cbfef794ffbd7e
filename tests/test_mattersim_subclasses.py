"""Published projects subclass the simulator: their methods do not change ours, as in C++."""

import copy
import pickle

import pytest

import vln.mattersim as MatterSim  # noqa: N812 - as users do
from vln.errors import VlnError

STATE = 1_000
"""Bytes that a state without pictures takes at most, listed places included."""


class Counted(MatterSim.Simulator):
    """Says which of its methods were called, by name."""

    def __init__(self):
        self.setRenderingEnabled(False)
        self.setDiscretizedViewingAngles(True)
        super().__init__()
        self.called = []

    def initialize(self):
        self.called.append("initialize")
        super().initialize()

    def newEpisode(self, batch):
        """Has another signature, as one published project's has."""
        self.called.append("newEpisode")
        super().newRandomEpisode([scan for scan, _ in batch])

    def makeAction(self, actions):
        self.called.append("makeAction")
        super().makeAction(*zip(*actions, strict=True))

    def getState(self):
        self.called.append("getState")
        return super().getState()

    def setCameraResolution(self, size):
        self.called.append("setCameraResolution")
        super().setCameraResolution(*size)

    def close(self):
        self.called.append("close")
        super().close()


@pytest.fixture
def counted(crossing_folder):
    made = Counted()
    made.setNavGraphPath(crossing_folder)
    return made


def test_overridden_methods_are_called_as_often_as_the_user_does(counted):
    counted.setCameraResolution((64, 48))
    counted.newEpisode([("house", None)])
    counted.makeAction([(0, 1.0, 0.0)])
    (state,) = counted.getState()
    counted.close()
    counted.newEpisode([("house", None)])

    assert (state.step, state.rgb.shape) == (1, (48, 64, 3))
    assert counted.called == [
        "setCameraResolution",
        "newEpisode",
        "makeAction",
        "getState",
        "close",
        "newEpisode",
    ]


def test_an_overridden_initialize_is_the_users_to_call(counted):
    counted.initialize()
    counted.newEpisode([("house", None)])
    assert counted.called == ["initialize", "newEpisode"]


def test_settings_made_before_the_constructor_are_kept(counted):
    counted.newEpisode([("house", None)])
    (state,) = counted.getState()
    assert not state.rgb.any()  # without a dataset path, rendering would have been an error
    assert state.viewIndex in range(12, 24)  # 0 if it were not discretised
    assert MatterSim.Simulator()._options.rendering


@pytest.mark.parametrize("discretized", [True, False])
def test_a_batch_of_none_has_empty_lists(simulator, discretized):
    made = simulator(0, discretized=discretized)
    made.initialize()
    made.makeAction([], [], [])
    for name, lists in (("newEpisode", 4), ("newRandomEpisode", 1)):
        getattr(made, name)(*[[]] * lists)
        made.makeAction([], [], [])
        assert made.getState() == []
    made.close()
    made.init()
    assert made.getState() == []


def test_a_state_without_pictures_is_small_when_sent_and_copies_share_its_zeros(simulator):
    made = simulator()
    made.newEpisode(["house"], ["a"], [0.0], [0.0])
    (state,) = made.getState()

    sent = pickle.dumps(state)

    assert len(sent) < STATE
    for other in (pickle.loads(sent), copy.deepcopy(state), copy.copy(state)):  # noqa: S301
        assert other.rgb is state.rgb
        assert other.depth is state.depth
        assert (other.rgb.shape, other.depth.shape) == ((480, 640, 3), (480, 640, 1))
        assert repr(other) == repr(state)


@pytest.mark.parametrize("sending", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_simulator_cannot_be_sent(simulator, sending):
    with pytest.raises(TypeError, match="build it in the process that uses it") as caught:
        sending(simulator())
    assert isinstance(caught.value, VlnError)
