"""The README tells the truth: its commands run, its paths and targets exist.

Fenced blocks after a line `<!-- test -->` are run on the tiny world, in one temporary folder, in
the README's order: `bash` blocks by bash, without their `make` lines; `python` blocks share their
names. The block that begins with `vln/` is the tree: each line begins with folders, files or
modules, indented under the folder that holds them; what follows after two spaces describes them.
"""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(
    r"(?:^<!--\s*(?P<mark>[\w ]+?)\s*-->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
MODULE = re.compile(r"python3? -m ([\w.]+)")
MAKE = re.compile(r"^\s*make\b(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: what the comment before it says, its language, its text."""

    mark: str
    language: str
    text: str


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    assert README.is_file(), f"there is no {README.name} at the top of the project"
    found = FENCE.finditer(README.read_text(encoding="utf-8"))
    return [Block(m["mark"] or "", m["language"], m["text"]) for m in found]


@pytest.fixture
def workshop(tiny_panoramas, tmp_path, monkeypatch) -> Path:
    """A folder to work in: the tiny world with pictures is the data, `python` the one of now."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VLN_DATA", str(tiny_panoramas.folder))
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def to_be_run(blocks: list[Block], *, language: str) -> list[str]:
    return [block.text for block in blocks if block.mark == "test" and block.language == language]


def test_the_marked_commands_run(blocks, workshop):
    commands = to_be_run(blocks, language="bash")
    assert commands, "no bash block of the README is marked to be tested"

    for text in commands:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", MAKE.sub("", text)],
            cwd=workshop,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_the_marked_python_runs(blocks, workshop):
    snippets = to_be_run(blocks, language="python")
    assert snippets, "no python block of the README is marked to be tested"

    names = {"__name__": "readme"}
    for text in snippets:
        exec(compile(text, str(README), "exec"), names)  # our own README


def test_a_mark_stands_before_a_block_that_is_run(blocks):
    assert {b.language for b in blocks if b.mark == "test"} <= {"bash", "python"}
    assert {b.mark for b in blocks} <= {"", "test"}


def test_every_command_of_the_readme_exists(blocks):
    modules = {m for b in blocks if b.language == "bash" for m in MODULE.findall(b.text)}

    assert modules
    assert [m for m in sorted(modules) if importlib.util.find_spec(m) is None] == []


def test_every_make_target_of_the_readme_exists(blocks):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))
    lines = [line for b in blocks if b.language == "bash" for line in MAKE.findall(b.text)]
    words = [word for line in lines for word in line.partition("#")[0].split()]
    named = {word for word in words if "=" not in word and not word.startswith("-")}

    assert named
    assert named <= targets


def test_every_path_of_the_tree_exists(blocks):
    trees = [block.text for block in blocks if block.text.startswith("vln/")]
    assert len(trees) == 1, "the README has no block that begins with vln/, or several"

    paths = [ROOT / path for path in tree_paths(trees[0])]

    assert [str(p) for p in paths if not (p.exists() or p.with_suffix(".py").is_file())] == []


def tree_paths(tree: str) -> list[PurePosixPath]:
    """Gives the paths that a tree names, from the top of the project."""
    paths: list[PurePosixPath] = []
    above: list[tuple[int, PurePosixPath]] = [(-1, PurePosixPath())]
    for line in filter(str.strip, tree.splitlines()):
        indent = len(line) - len(line.lstrip())
        while above[-1][0] >= indent:
            above.pop()
        names = re.split(r" {2,}", line.strip())[0].split()
        paths += [above[-1][1] / name for name in names]
        above.append((indent, paths[-1]))
    return paths


def test_a_tree_is_read_by_its_indentation():
    tree = """\
vln/         the ground
  graph text   arrays
  data/
    r2r.py   opens files
envs/        environments
"""

    assert list(map(str, tree_paths(tree))) == [
        "vln",
        "vln/graph",
        "vln/text",
        "vln/data",
        "vln/data/r2r.py",
        "envs",
    ]
