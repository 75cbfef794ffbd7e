"""Programs written for the C++ module run unmodified, in this process and in those they start."""

import ast
import os
import subprocess
import sys
import types

import pytest

import vln.mattersim
from vln.errors import VlnError
from vln.mattersim import launch
from vln.testing.skyboxes import write_skyboxes

# In the manner of R2R-EnvDrop's env.py: v0.1, one simulator per place in the batch.
ENVDROP = """
import sys
sys.path.append('build')
import MatterSim
import math

class EnvBatch():
    def __init__(self, batch_size):
        self.sims = []
        for i in range(batch_size):
            sim = MatterSim.Simulator()
            sim.setRenderingEnabled(False)
            sim.setDiscretizedViewingAngles(True)
            sim.setCameraResolution(640, 480)
            sim.setCameraVFOV(math.radians(60))
            sim.init()
            self.sims.append(sim)

    def newEpisodes(self, scanIds, viewpointIds, headings):
        for i, (s, v, h) in enumerate(zip(scanIds, viewpointIds, headings)):
            self.sims[i].newEpisode(s, v, h, 0)

    def getStates(self):
        return [sim.getState() for sim in self.sims]

    def makeActions(self, actions):
        for i, (index, heading, elevation) in enumerate(actions):
            self.sims[i].makeAction(index, heading, elevation)

if __name__ == '__main__':
    scan, viewpoint = sys.argv[1:]
    env = EnvBatch(3)
    env.newEpisodes([scan] * 3, [viewpoint] * 3, [0, 1.6, 3.2])
    env.makeActions([(0, 1, 0), (0, -1, 0), (0, 0, 1)])
    for state in env.getStates():
        assert state.location.viewpointId == viewpoint
        for j, loc in enumerate(state.navigableLocations[1:]):
            assert loc.rel_distance > 0, j
        print(state.scanId, state.viewIndex, state.step)
"""

# In the manner of the batched driver: pictures, as OpenCV shows them.
BATCHED = """
import sys
sys.path.insert(0, 'build')
import MatterSim
import math
import numpy as np

sim = MatterSim.Simulator()
sim.setDatasetPath('scans')
sim.setCameraResolution(80, 60)
sim.setCameraVFOV(math.radians(60))
sim.setDepthEnabled(False)
sim.setBatchSize(2)
sim.initialize()
scan = sys.argv[1]
sim.newEpisode([scan] * 2, sys.argv[2:4], [0] * 2, [0] * 2)
heading = 0
for _ in range(4):
    sim.makeAction([0] * 2, [math.pi / 2] * 2, [0] * 2)
    for state in sim.getState():
        rgb = np.array(state.rgb, copy=False)
        rgb[0, 0] = 0
        b, g, r = rgb[30, 40]
        print('%.2f' % state.heading, b // 64, g // 64, r // 64)
"""

# Workers of every kind, and a plain child; each says where its simulator comes from.
WORKERS = """
import multiprocessing, subprocess, sys
sys.path.append('build')
import MatterSim

def origin(method):
    import MatterSim
    return method, MatterSim.Simulator.__module__

if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(*pool.apply(origin, (method,)))
    child = 'import sys; sys.path.append("build"); import MatterSim; print("child", '
    child += 'MatterSim.Simulator.__module__)'
    subprocess.run([sys.executable, '-c', child], check=True)
    print('here', MatterSim.Simulator.__module__)
"""

FAILS = """
import sys, MatterSim
def inner():
    raise KeyError(sys.argv)
inner()
"""


@pytest.fixture
def folder(tmp_path, tiny_world):
    """Where a user's scripts run: connectivity/ and a build folder with a module that is broken."""
    (tmp_path / "connectivity").symlink_to(tiny_world.folder / "connectivity")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "MatterSim.py").write_text("raise ImportError('undefined symbol')\n")
    return tmp_path


@pytest.fixture
def run(folder):
    """Runs a script under the launcher, from the folder."""

    def run(text, *arguments, name="script.py"):
        (folder / name).write_text(text)
        command = [sys.executable, "-m", "vln.mattersim", "run", name, *arguments]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def first(graph, house):
    return [graph.viewpoints[i] for i in graph.members(house)][:2]


def test_envdrops_way_of_using_it_runs(run, tiny_world):
    house = "tinyHouse01"
    done = run(ENVDROP, house, first(tiny_world.graph, house)[0])
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == [f"{house} {view} 1" for view in (13, 14, 30)]


def test_the_batched_way_of_using_it_runs(run, tiny_world, folder):
    house = "tinyHouse01"
    write_skyboxes(folder, tiny_world.graph, scans=[house])
    (folder / "data" / "v1" / "scans" / house).mkdir(parents=True)
    target = folder / "data" / "v1" / "scans" / house / "matterport_skybox_images"
    (folder / "skyboxes" / house).rename(target)
    (folder / "scans").symlink_to(folder / "data" / "v1" / "scans")

    done = run(BATCHED, house, *first(tiny_world.graph, house))

    assert (done.stderr, done.returncode) == ("", 0)
    # Level views: blue, which is up, in the middle; north (green) and east (red) take turns.
    assert [line.split()[0] for line in done.stdout.splitlines()[::2]] == [
        "1.57",
        "3.14",
        "4.71",
        "0.00",
    ]
    greens_and_reds = [line.split()[2:] for line in done.stdout.splitlines()[::2]]
    assert [(g == "3", r == "3") for g, r in greens_and_reds] == [
        (False, True),
        (False, False),
        (False, False),
        (True, False),
    ]


def test_it_reaches_processes_that_the_script_starts(run):
    done = run(WORKERS)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == [
        f"{who} vln.mattersim.simulator" for who in ("fork", "spawn", "forkserver", "child", "here")
    ]


def test_a_script_sees_what_it_would_see_without_the_launcher(run, folder):
    text = (
        "import sys, logging, inspect\n"
        "print(__name__, __file__, sys.argv, sys.path[0], __spec__, logging.getLogger().handlers)\n"
        "print(__builtins__, type(__loader__).__name__, __loader__.name, __doc__, __package__)\n"
        "print(inspect.getsource(sys.modules['__main__']))\n"
    )
    (folder / "plain.py").write_text(text)
    plain = subprocess.run(
        [sys.executable, "plain.py", "-x", "--help"], cwd=folder, capture_output=True, text=True
    )

    done = run(text, "-x", "--help", name="plain.py")

    assert done.stdout == plain.stdout
    assert "'--help'" in done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="has no such flag")
@pytest.mark.parametrize("program", [["paths.py"], ["-m", "paths"]])
def test_a_safe_path_stays_safe(folder, program):
    (folder / "paths.py").write_text("import sys\nprint(sys.path)\n")
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    plain, done = (
        subprocess.run(
            [sys.executable, *command, *program],
            cwd=folder.parent if "-m" in program else folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in ([], ["-m", "vln.mattersim", "run"])
    )
    shim, *rest = ast.literal_eval(done)
    assert (shim, rest) == (str(launch.SHIM), ast.literal_eval(plain))


def test_a_modules_traceback_begins_in_the_module(folder):
    (folder / "bare.py").write_text(FAILS)
    command = [sys.executable, "-m", "vln.mattersim", "run", "-m", "bare"]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[1].endswith('bare.py", line 5, in <module>')


def test_a_scripts_traceback_and_exit_codes_are_its_own(run, folder):
    (folder / "bare.py").write_text(FAILS.replace(", MatterSim", ""))
    plain = subprocess.run(
        [sys.executable, "bare.py", "a"], cwd=folder, capture_output=True, text=True
    )
    done = run(FAILS, "a", name="bare.py")
    assert (done.stderr, done.returncode) == (plain.stderr, 1)
    assert "Traceback" in done.stderr

    assert run("import sys; sys.exit(7)").returncode == 7
    assert run("raise SystemExit").returncode == 0


def test_a_script_with_a_slip_of_the_pen_says_so_as_python_does(run, folder):
    (folder / "slip.py").write_text("print('a'\n")
    plain = subprocess.run(
        [sys.executable, str(folder / "slip.py")], capture_output=True, text=True, check=False
    )
    done = run("print('a'\n", name="slip.py")
    assert (done.stderr, done.returncode) == (plain.stderr, 1)


def test_errors_of_the_simulator_are_the_scripts_business(run):
    text = "import MatterSim\nMatterSim.Simulator().makeAction([0], [0.0], [0.0])\n"
    done = run(text)
    assert done.returncode == 1
    assert "EpisodeOver: makeAction: no episode has begun" in done.stderr


def test_a_module_runs_too(folder):
    (folder / "theirs").mkdir()
    (folder / "theirs" / "__init__.py").write_text("")
    (folder / "theirs" / "main.py").write_text(
        "import sys, MatterSim\nprint(__name__, sys.argv[1:], MatterSim.__name__)\n"
    )
    command = [sys.executable, "-m", "vln.mattersim", "run", "-m", "theirs.main", "-a", "b"]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "__main__ ['-a', 'b'] vln.mattersim\n"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_explains(arguments, capsys):
    assert launch.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "SCRIPT [ARGUMENTS ...]" in shown
    assert "`-c CODE`" in shown


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "-m"], ["walk", "script.py"]])
def test_what_cannot_be_a_command_shows_the_usage(arguments, capsys):
    assert launch.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.fixture
def undone(monkeypatch):
    """Takes back what the launcher does to this process."""
    monkeypatch.delitem(sys.modules, "MatterSim", raising=False)
    monkeypatch.setenv("PYTHONPATH", "somewhere")


@pytest.mark.usefixtures("undone")
def test_a_script_that_is_not_there_is_an_error(tmp_path, capsys):
    assert launch.main(["run", str(tmp_path / "gone.py")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: cannot read ")
    assert "gone.py" in error


@pytest.mark.usefixtures("undone")
def test_installing_makes_the_name_ours_and_may_be_repeated():
    assert vln.mattersim.install() is vln.mattersim
    assert vln.mattersim.install() is vln.mattersim

    import MatterSim

    assert MatterSim is vln.mattersim


@pytest.mark.usefixtures("undone")
def test_installing_over_the_c_module_is_an_error(monkeypatch):
    theirs = types.ModuleType("MatterSim")
    theirs.__file__ = "build/MatterSim.so"
    monkeypatch.setitem(sys.modules, "MatterSim", theirs)

    with pytest.raises(ImportError, match=r"from build/MatterSim\.so") as caught:
        vln.mattersim.install()

    assert isinstance(caught.value, VlnError)
    assert sys.modules["MatterSim"] is theirs
