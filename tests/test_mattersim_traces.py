"""The drop-in repeats every record of the C++ simulator's traces, through both interfaces."""

import math

import numpy as np
import pytest

import vln.mattersim as MatterSim  # noqa: N812 - as users do

FILES = {
    "state_traces": {"discretized": True, "restricted": True},
    "state_traces_continuous": {"discretized": False, "restricted": True},
    "state_traces_unrestricted": {"discretized": True, "restricted": False},
}
BATCH = 64


@pytest.fixture(scope="module", params=FILES)
def traces(request, read_golden):
    """A golden file's settings and its episodes."""
    return FILES[request.param], read_golden(f"{request.param}.jsonl.gz")


def simulator(real_data, settings):
    made = MatterSim.Simulator()
    made.setNavGraphPath(str(real_data / "connectivity"))
    made.setRenderingEnabled(False)
    made.setDiscretizedViewingAngles(settings["discretized"])
    made.setRestrictedNavigation(settings["restricted"])
    made.setCameraResolution(640, 480)
    made.setCameraVFOV(math.radians(60))
    return made


def assert_is(states, records, scans):
    """Compares states with what the C++ simulator had, field by field, all at once."""
    here = [state.location for state in states]
    found = [list(state.navigableLocations) for state in states]
    places = [place for listed in found for place in listed]
    known = [place for record in records for place in record["nav"]]

    assert [state.scanId for state in states] == scans
    assert [(v.viewpointId, v.ix) for v in here] == [(r["viewpointId"], r["ix"]) for r in records]
    assert [(s.viewIndex, s.step) for s in states] == [(r["viewIndex"], r["step"]) for r in records]
    assert [len(listed) for listed in found] == [len(record["nav"]) for record in records]
    assert [(v.viewpointId, v.ix) for v in places] == [(name, ix) for name, ix, *_ in known]
    close(
        [(s.heading, s.elevation) for s in states],
        [(r["heading"], r["elevation"]) for r in records],
        within=1e-12,
    )
    positions = [(r["x"], r["y"], r["z"]) for r in records]
    close([(v.x, v.y, v.z) for v in here], positions, within=1e-6)
    close([v.point for v in here], positions, within=1e-6)
    close(
        [(v.rel_heading, v.rel_elevation, v.rel_distance) for v in places],
        [relative for _, _, *relative in known],
        within=1e-6,
    )


def close(found, known, *, within):
    np.testing.assert_allclose(np.array(found), np.array(known), rtol=0, atol=within)


def test_batches_repeat_every_record(real_data, traces):
    settings, episodes = traces
    for first in range(0, len(episodes), BATCH):
        batch = episodes[first : first + BATCH]
        scans = [episode["scanId"] for episode in batch]
        made = simulator(real_data, settings)
        made.setBatchSize(len(batch))
        made.initialize()

        made.newEpisode(scans, *zip(*(episode["start"] for episode in batch), strict=True))
        for records in zip(*(episode["steps"] for episode in batch), strict=True):
            assert_is(made.getState(), records, scans)
            if records[0]["action"] is not None:
                made.makeAction(*zip(*(record["action"] for record in records), strict=True))


def test_scalars_repeat_every_record(real_data, traces):
    settings, episodes = traces
    made = simulator(real_data, settings)
    made.init()
    for episode in episodes[::8]:
        made.newEpisode(episode["scanId"], *episode["start"])
        for record in episode["steps"]:
            assert_is([made.getState()], [record], [episode["scanId"]])
            if record["action"] is not None:
                made.makeAction(*record["action"])


def test_kept_states_are_still_those_of_their_step(real_data, traces):
    settings, episodes = traces
    batch = episodes[:BATCH]
    scans = [episode["scanId"] for episode in batch]
    made, kept = simulator(real_data, settings), []
    made.setBatchSize(BATCH)
    made.newEpisode(scans, *zip(*(episode["start"] for episode in batch), strict=True))
    steps = list(zip(*(episode["steps"] for episode in batch), strict=True))
    for records in steps:
        kept.append(made.getState())
        if records[0]["action"] is not None:
            made.makeAction(*zip(*(record["action"] for record in records), strict=True))
    made.close()

    for states, records in zip(kept, steps, strict=True):
        assert_is(states, records, scans)
