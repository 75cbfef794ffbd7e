"""Every notebook runs from top to bottom, without data and with it, and is committed empty."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "assets" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
KERNEL = "vln-test"

pytestmark = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs a notebook in a fresh folder with the running interpreter and gives its outputs."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": KERNEL,
        "language": "python",
    }
    folder = tmp_path / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for variable in ("VLN_CACHE", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(file):
        notebook = nbformat.read(file, as_version=4)
        NotebookClient(
            notebook,
            kernel_name=KERNEL,
            timeout=300,
            resources={"metadata": {"path": str(work)}},
        ).execute()
        return [output for cell in code_cells(notebook) for output in cell.outputs]

    return run


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def streamed(outputs, *, name: str) -> str:
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == name)


def pictures(outputs) -> int:
    return sum("image/png" in o.get("data", {}) for o in outputs)


def test_a_notebook_is_committed_without_outputs(file):
    notebook = nbformat.read(file, as_version=4)

    assert [cell.source for cell in code_cells(notebook) if cell.outputs] == []
    assert {cell.execution_count for cell in code_cells(notebook)} == {None}


def test_a_notebook_runs_on_the_tiny_world_where_there_is_no_data(file, execute, monkeypatch):
    monkeypatch.delenv("VLN_DATA", raising=False)

    outputs = execute(file)

    assert streamed(outputs, name="stderr") == ""
    assert "tiny world" in streamed(outputs, name="stdout")
    assert pictures(outputs) > 0


def test_a_notebook_runs_on_the_real_data(file, execute, real_data):
    outputs = execute(file)

    assert streamed(outputs, name="stderr") == ""
    assert "tiny world" not in streamed(outputs, name="stdout")
    assert pictures(outputs) > 0
