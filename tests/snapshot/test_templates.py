"""One snapshot per stage and stack; `make test ARGS='tests/snapshot --snapshot-update'` accepts a change."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.conftest import synth

STACKS = [
    f"{stage}/{stack}"
    for stage in ("Dev", "Local", "Prod", "Staging")
    for stack in ("AdapterStore", "Observability", "Scaling", "Serving")
]


def normalised(template: dict[str, Any]) -> dict[str, Any]:
    """The template as a reviewer wants to see it: without hashes of content and CDK's own parts."""
    kept = {key: value for key, value in template.items() if key not in {"Parameters", "Rules"}}
    text = re.sub(r"\b[0-9a-f]{64}\b", "<asset>", json.dumps(kept))
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.mark.parametrize("path", STACKS)
def test_the_template_is_as_reviewed(
    path: str, templates: dict[str, dict[str, Any]], snapshot: SnapshotAssertion
) -> None:
    assert normalised(templates[path]) == snapshot(extension_class=JSONSnapshotExtension)


def test_there_is_a_snapshot_for_every_stack(templates: dict[str, dict[str, Any]]) -> None:
    assert sorted(templates) == STACKS


def test_two_synths_of_one_commit_are_equal_to_the_byte(
    assembly: Path, templates: Any, tmp_path: Path
) -> None:
    again = synth(tmp_path)
    assert again == templates
    files = {path.relative_to(assembly) for path in assembly.rglob("*.json")}
    assert files == {path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")}
    for file in files:
        assert (assembly / file).read_bytes() == (tmp_path / file).read_bytes(), file
