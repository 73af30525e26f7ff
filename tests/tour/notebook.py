"""The notebook and its execution, as JupyterLab does it."""

import nbformat
from nbclient import NotebookClient

from stacks.project import ROOT

NOTEBOOK = ROOT / "docs" / "tour.ipynb"
#: Seconds for the whole notebook on an idle machine with two processors.
LIMIT_S = 240


def read() -> nbformat.NotebookNode:
    """Return the stored notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def run(notebook: nbformat.NotebookNode, *, cell_limit_s: int = LIMIT_S) -> None:
    """Run the cells in order, in the notebook's folder; raises `CellExecutionError` at the first that fails."""
    NotebookClient(
        notebook,
        timeout=cell_limit_s,
        startup_timeout=LIMIT_S,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()
