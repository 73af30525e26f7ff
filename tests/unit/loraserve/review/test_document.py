"""The document of a review: its JSON schema, and the reading of one that anyone may have written."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from loraserve.review.document import DocumentError, ReviewDocument, read, write
from loraserve.review.report.markdown import COMMENT_BUDGET, markdown
from stacks.project import ROOT
from tests.unit.loraserve.review.report.documents import EXAMPLE, NOTHING

SCHEMA_FILE = ROOT / "docs" / "review.schema.json"


def schema() -> str:
    made = TypeAdapter(ReviewDocument).json_schema()
    return json.dumps({"$schema": Draft202012Validator.META_SCHEMA["$id"], **made}, indent=2) + "\n"


def changed(path: str, value: Any) -> str:
    """The example's JSON with another value at a dotted path."""
    document = json.loads(write(EXAMPLE))
    *above, last = path.split(".")
    target = document
    for key in above:
        target = target[int(key)] if key.isdigit() else target[key]
    target[last] = value
    return json.dumps(document)


def test_the_schema_file_is_of_these_types() -> None:
    assert SCHEMA_FILE.read_text() == schema(), (
        "run .venv/bin/python -m tests.unit.loraserve.review.test_document"
    )


@pytest.mark.parametrize("document", [EXAMPLE, NOTHING], ids=["example", "nothing"])
def test_a_document_is_valid_and_is_read_as_it_was_written(document: ReviewDocument) -> None:
    Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(json.loads(write(document)))
    assert read(write(document)) == document


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert read(changed("later", [1])) == EXAMPLE


@pytest.mark.parametrize(("path", "value"), [
    ("schema", 2), ("schema", True), ("schema", "1"), ("stages", {}), ("stages.0.verdict", "fine"), ("stages.0.name", None),
    ("stages.0.usd_month_most_after", "1"), ("stages.0.usd_month_most_after", True), ("stages.0.usd_month_most_after", 1e300),
    ("stages.0.usd_month_most_after", math.nan), ("stages.0.usd_month_most_after", 10**400), ("findings.0.accepted", 1),
    ("findings.0.category", "mine"), ("findings.0.details", "text"), ("findings.0.details", [1]), ("findings", [None]),
    ("exit_code", 1), ("hidden", 1.5), ("hidden", True), ("base", []), ("prices_date", 3), ("fail_on", "always"),
])  # fmt: skip
def test_another_type_is_refused_with_its_place(path: str, value: Any) -> None:
    with pytest.raises(DocumentError, match=r"is wanted; write the document again") as raised:
        read(changed(path, value))
    assert path.rsplit(".", maxsplit=1)[-1] in str(raised.value) or "[0]" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '{"schema": 1}', "[" * 100_000, '"\ud800"'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)
PLACES = [
    *json.loads(write(EXAMPLE)),
    *(f"findings.0.{name}" for name in json.loads(write(EXAMPLE))["findings"][0]),
    *(f"stages.1.{name}" for name in json.loads(write(EXAMPLE))["stages"][0]),
]


@given(st.sampled_from(PLACES), JSON)
@settings(max_examples=80, deadline=None)
def test_any_value_is_refused_or_reported(path: str, value: Any) -> None:
    try:
        document = read(changed(path, value))
    except DocumentError:
        return
    assert len(markdown(document).encode()) <= COMMENT_BUDGET


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema())
