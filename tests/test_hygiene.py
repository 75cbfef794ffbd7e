"""What is committed stays small, readable, and at home on every machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_FOLDERS = ("vln", "envs", "agents", "vqa_ve", "benchmarks")
MAX_BYTES = 5_000_000
MAX_LINES = 400
MAX_FUNCTION_LINES = 80

# Brackets in the patterns keep this file from matching itself.
FORBIDDEN = {
    "somebody's home folder": re.compile(r"(?<![\w.:/])/(?:home|Users|root)/[A-Za-z]"),
    "a package index": re.compile(
        r"pypi[.]org|files[.]pythonhosted[.]org|debian[.]org|npmjs[.]org|conda[.]anaconda[.]org"
    ),
}

ABSOLUTE = re.compile(r'"(/\w[\w.-]*/[^"\s]*)"')  # a JSON string that begins at the root


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """Every file that git tracks and that is still there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sources(committed) -> dict[str, str]:
    """Text of the modules that users import, by path."""
    modules = [
        file
        for file in committed
        if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in SOURCE_FOLDERS
    ]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in modules}


def read_text(file: Path) -> str:
    """Gives a file's text, nothing for a binary one."""
    content = file.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_committed_file_names(kind, committed):
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in committed
        for match in FORBIDDEN[kind].finditer(read_text(file))
    ]

    assert found == []


def test_no_committed_result_names_a_path_of_one_machine(committed):
    results = [file for file in committed if file.suffix in {".json", ".jsonl"}]

    found = {
        str(file.relative_to(ROOT)): sorted(set(ABSOLUTE.findall(read_text(file))))
        for file in results
    }

    assert {name: paths for name, paths in found.items() if paths} == {}


def test_no_committed_file_is_large(committed):
    assert [str(file) for file in committed if file.stat().st_size > MAX_BYTES] == []


def test_no_module_is_too_long_to_read(sources):
    lengths = {name: text.count("\n") for name, text in sources.items()}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_function_is_too_long_to_read(sources):
    lengths = {
        f"{name}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}
