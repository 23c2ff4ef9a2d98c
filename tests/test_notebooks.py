"""Every notebook runs from top to bottom, and holds nothing that its own cells do not give."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
LARGEST = 300_000  # bytes: a notebook is read in a review too


def outputs(cell):
    return cell.outputs if cell.cell_type == "code" else []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own client
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, environment_of_a_user):
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder)
    client.execute(env=environment_of_a_user)
    for cell in notebook.cells:
        kinds = [kind for output in outputs(cell) for kind in output.get("data", {})]
        assert kinds.count("text/html") <= 1, f"a table is shown twice by:\n{cell.source}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_with_its_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    stored = [output for cell in notebook.cells for output in outputs(cell)]
    assert any("text/html" in output.get("data", {}) for output in stored), "no table"
    assert any("image/png" in output.get("data", {}) for output in stored), "no picture"
    assert path.stat().st_size < LARGEST


def test_there_are_notebooks():
    assert NOTEBOOKS
