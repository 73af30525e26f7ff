"""Run the notebook and store its outputs: .venv/bin/python -m tests.tour.store_outputs."""

import nbformat

from tests.tour.notebook import LIMIT_S, NOTEBOOK, read, run


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook without what is of this machine or of an editor."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            output.pop("metadata", None) if output.output_type == "stream" else output.update(metadata={})
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": output.data["image/png"]}
    return notebook


def main() -> None:
    """Run every cell, with ten times the test's time: the machine may be busy."""
    notebook = read()
    run(notebook, cell_limit_s=10 * LIMIT_S)
    nbformat.write(cleaned(notebook), NOTEBOOK)


if __name__ == "__main__":
    main()
