"""Who may import whom: the table of folders, no cycles, no rooms for odds and ends."""

import ast
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "vln": set(),
    "envs": {"vln"},
    "agents": {"vln", "envs"},
    "vqa_ve": {"vln"},
    "benchmarks": {"vln", "envs", "agents", "vqa_ve"},
}
SHAPELESS = {"utils", "util", "common", "helpers", "helper", "misc"}
WITHOUT_TORCH = (
    "vln.graph",
    "vln.simulator",
    "vln.camera",
    "vln.observed",
    "vln.data.connectivity",
    "vln.data.episodes",
    "vln.data.objects",
    "vln.data.predictions",
    "vln.metrics.paths",
    "vln.metrics.intervals",
    "vln.features.store",
    "vln.encoders",
    "vln.runs",
    "vln.text",
    "vln.panorama.__main__",
    "vln.panorama.sources",
    "vln.panorama.views",
    "vln.mattersim",
    "vln.viz.maps",
    "vln.viz.views",
    "vln.testing",
    "envs",
    "envs.vector",
    "envs.panorama",
    "envs.wrappers",
)


def modules():
    """Every module of the five packages: its dotted name and its file."""
    for package in MAY_IMPORT:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


MODULES = dict(modules())


class Imports(ast.NodeVisitor):
    """Collects what a module imports when it runs; types alone make no arrow of a cycle."""

    def __init__(self):
        self.at_run, self.for_types, self.relative = set(), set(), set()
        self._kept = self.at_run

    def visit_Import(self, node):
        self._kept.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        if node.level:
            self.relative.add(node.module)
            return
        self._kept.update(f"{node.module}.{alias.name}" for alias in node.names)

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)
            return
        before, self._kept = self._kept, self.for_types
        for child in node.body:
            self.visit(child)
        self._kept = before


def imports_of(name):
    found = Imports()
    found.visit(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    return found


def module_of(dotted):
    """The module that an imported name lives in, None for one of somebody else."""
    while dotted and dotted not in MODULES:
        dotted = dotted.rpartition(".")[0]
    return dotted or None


def ours(dotted_names):
    return {module for name in dotted_names if (module := module_of(name)) is not None}


def test_the_packages_are_all_here():
    assert {name.partition(".")[0] for name in MODULES} == set(MAY_IMPORT)
    assert len(MODULES) > 40


@pytest.mark.parametrize("name", MODULES)
def test_arrows_between_folders_are_in_the_table(name):
    found = imports_of(name)
    here = name.partition(".")[0]
    folders = {module.partition(".")[0] for module in ours(found.at_run | found.for_types)}
    assert folders - {here} <= MAY_IMPORT[here]
    assert not found.relative
    assert not any(module.partition(".")[0] == "tests" for module in found.at_run)


def test_no_module_imports_itself_by_a_detour():
    graph = networkx.DiGraph()
    for name in MODULES:
        # A package's own __init__ names its parts, and they never ask the package.
        graph.add_edges_from((name, other) for other in ours(imports_of(name).at_run))
    cycles = [part for part in networkx.strongly_connected_components(graph) if len(part) > 1]
    assert cycles == []
    assert list(networkx.selfloop_edges(graph)) == []


@pytest.mark.parametrize("package", ["vln", "envs", "agents"])
def test_parts_of_a_package_never_import_its_root(package):
    roots = [name for name, file in MODULES.items() if file.name == "__init__.py"]
    for name in MODULES:
        inside = [root for root in roots if name.startswith(f"{root}.")]
        assert not set(inside) & ours(imports_of(name).at_run)


def test_no_room_is_for_odds_and_ends():
    for name in MODULES:
        assert not SHAPELESS & set(name.split("."))


def test_tests_are_the_only_python_outside_the_packages():
    allowed = {*MAY_IMPORT, "tests"}
    strays = {
        file.relative_to(ROOT).parts[0]
        for file in ROOT.glob("[!.]*/**/*.py")
        if "site-packages" not in file.parts
    }
    assert strays - allowed <= {"build"}


def test_the_ground_and_the_environments_run_without_torch():
    script = f"""
import importlib, sys
for name in {WITHOUT_TORCH}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
import gymnasium
assert "vln/R2R-v0" in gymnasium.registry
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


def test_imports_change_nothing_for_the_importer():
    script = """
import importlib, logging, random, sys
import numpy as np
seeds = random.getstate(), np.random.get_state()[1].tolist()
for name in ("vln.runs", "envs", "agents.train", "benchmarks.score"):
    importlib.import_module(name)
assert sys.argv == ["-c", "--flag"]
assert (random.getstate(), np.random.get_state()[1].tolist()) == seeds
assert not logging.getLogger().handlers
"""
    arguments = [sys.executable, "-c", script, "--flag"]
    subprocess.run(arguments, check=True, cwd=ROOT, timeout=120)
