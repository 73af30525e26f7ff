"""The notebook docs/tour.ipynb as it is stored. tests/tour runs it."""

import ast
import base64
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from stacks.project import ROOT
from tests.unit.test_links import anchors
from tests.unit.test_prose import Passage

NOTEBOOK = ROOT / "docs" / "tour.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
TEXTS = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown"]
#: Sections of the article's way, in their order.
SECTIONS = (
    *("Why many adapters on one base", "The stage file", "Deploy", "Base model and adapter, side by side"),
    *("One adapter against fifty, equal work", "What the benchmark hides"),
    *("The open question, answered by the planner", "Autoscaling, by simulation", "What changes for AWS"),
    "Tear down",
)
MOST_LINES = 10
MOST_BYTES = 300_000


def outputs() -> list[dict[str, Any]]:
    return [output for cell in CODE for output in cell["outputs"]]


def texts_of(output: dict[str, Any]) -> str:
    """The text that an output shows, of a picture none."""
    return "".join(output.get("text", output.get("data", {}).get("text/plain", "")))


def test_a_cell_has_at_most_ten_lines() -> None:
    long = [cell["id"] for cell in CODE if len("".join(cell["source"]).splitlines()) > MOST_LINES]
    assert long == []


def test_cells_define_nothing_and_name_nothing_private() -> None:
    defined = [
        cell["id"]
        for cell in CODE
        for node in ast.walk(ast.parse("".join(cell["source"])))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)
    ]
    private = [cell["id"] for cell in CODE if re.search(r"import .*\b_\w|\._\w", "".join(cell["source"]))]
    assert defined == private == []


def test_sections_are_in_the_order_of_the_articles_way() -> None:
    headings = [found for text in TEXTS for found in re.findall(r"^## \d+\. (.*)$", text, re.MULTILINE)]
    assert tuple(headings) == SECTIONS


def test_the_texts_name_no_measured_number() -> None:
    """A number with a unit, a decimal or a percent sign would be of one run; the cells print them."""
    measured = r"\$\s?\d|\d\s?(%|ms|s|x|×|times|tokens/s|requests/s)\b|\d+,\d{3}"
    texts = [re.sub(r"\(https?://[^)]*\)", "", text) for text in TEXTS]
    assert [found[0] for text in texts for found in re.finditer(measured, text)] == []


def test_the_file_is_small_enough_to_be_shown() -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def test_every_cell_was_run_in_order_without_an_error() -> None:
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert {output["output_type"] for output in outputs()} <= {"stream", "display_data", "execute_result"}
    printing = [cell for cell in CODE if "print(" in "".join(cell["source"])]
    assert [cell["id"] for cell in printing if not cell["outputs"]] == []


def test_pictures_are_inline_and_no_larger_than_a_page() -> None:
    pictures = [output["data"]["image/png"] for output in outputs() if "image/png" in output.get("data", {})]
    assert len(pictures) == sum("Image(" in "".join(cell["source"]) for cell in CODE)
    for picture in pictures:
        content = base64.b64decode(picture)
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert 400 < width <= 1400
        assert 200 < height <= 1000


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("path", r"/(home|root|tmp|usr|var|opt|work|Users)/"),
        ("time of day", r"\b\d\d:\d\d:\d\d\b"),
        ("date", r"\b20\d\d-\d\d-\d\d\b"),
        ("port", r"127\.0\.0\.1:\d+|localhost:\d+"),
        ("escape sequence", r"\x1b"),
        ("warning", r"Warning|WARNING"),
    ],
)
def test_outputs_have_nothing_of_the_machine(what: str, pattern: str) -> None:
    found = [match[0] for output in outputs() for match in re.finditer(pattern, texts_of(output))]
    assert found == [], what


def test_no_metadata_has_times_or_the_editors_state() -> None:
    assert [cell["metadata"] for cell in CELLS if cell["metadata"]] == []
    metadata = json.loads(NOTEBOOK.read_text())["metadata"]
    assert set(metadata) == {"kernelspec", "language_info"}
    assert metadata["language_info"] == {"name": "python"}


def test_the_texts_are_in_the_style_of_the_documents() -> None:
    assert [violation for text in TEXTS for violation in Passage(1, text).violations()] == []


def test_every_link_leads_somewhere() -> None:
    links = [link for text in TEXTS for link in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text)]
    assert links
    for path, anchor in links:
        if not path.startswith("http"):
            target = Path(NOTEBOOK.parent / path)
            assert target.is_file(), path
            assert not anchor or anchor[1:] in anchors(target), path + anchor
