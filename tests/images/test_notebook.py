"""docs/notebook.ipynb: kept without outputs, and every cell runs."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_the_notebook_is_kept_without_outputs():
    """Outputs would change with every version."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert len(cells) > 30
    for cell in cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_the_notebook_runs():
    """No cell fails in a kernel of its own, and the last value of most of them is shown."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [kind for output in outputs for kind in output.get("data", ())]
    assert shown.count("text/html") >= 10
    assert shown.count("image/png") >= 5
    assert not [
        output
        for output in outputs
        if output.output_type in ("stream", "error") and output.get("name") == "stderr"
    ]
