"""Snapshots of the templates: Dev's in full, and for each other stage the difference from Dev.

`make test ARGS='tests/snapshot --snapshot-update'` accepts a change. The name of a stage is no difference.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.harness.assembly import synth
from tests.snapshot.difference import difference, joined, patched

#: The stage whose templates are kept in full.
REFERENCE = "Dev"
PLACEHOLDER = re.compile("<stage>", re.IGNORECASE)
ACCEPT = "to accept the change: make test ARGS='tests/snapshot --snapshot-update'"

STACKS = [
    f"{stage}/{stack}"
    for stage in ("Dev", "Local", "Prod", "Staging")
    for stack in ("AdapterStore", "Observability", "Scaling", "Serving")
]


def normalised(template: dict[str, Any]) -> dict[str, Any]:
    """Normalise a template for a reviewer: remove content hashes and the CDK's metadata."""
    kept = {key: value for key, value in template.items() if key not in {"Parameters", "Rules"}}
    text = re.sub(r"\b[0-9a-f]{64}\b", "<asset>", json.dumps(kept))
    result: dict[str, Any] = json.loads(text)
    return result


def anonymous(path: str, templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Normalise a template and replace the name of its stage by `<Stage>` and `<stage>`."""
    stage = path.partition("/")[0]
    text = json.dumps(normalised(templates[path]))
    assert not PLACEHOLDER.search(text), "the template contains the placeholder of the stage's name"
    text = re.sub(rf"\b{stage}\b", "<Stage>", text)
    result: dict[str, Any] = json.loads(re.sub(rf"\b{stage.lower()}\b", "<stage>", text))
    return result


def text(document: dict[str, Any]) -> str:
    """Serialize to JSON, in which 1, 1.0 and true differ."""
    return json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("path", [path for path in STACKS if path.startswith(REFERENCE)])
def test_the_template_is_as_reviewed(
    path: str, templates: dict[str, dict[str, Any]], snapshot: SnapshotAssertion
) -> None:
    assert normalised(templates[path]) == snapshot(extension_class=JSONSnapshotExtension), ACCEPT


@pytest.mark.parametrize("path", [path for path in STACKS if not path.startswith(REFERENCE)])
def test_the_template_differs_from_devs_as_reviewed(
    path: str, templates: dict[str, dict[str, Any]], snapshot: SnapshotAssertion
) -> None:
    reference = anonymous(f"{REFERENCE}/{path.partition('/')[2]}", templates)
    template = anonymous(path, templates)
    change = difference(reference, template)
    # The snapshot of Dev and the difference together give the whole template.
    assert text(patched(reference, change)) == text(template)
    assert joined(change) == snapshot(extension_class=JSONSnapshotExtension), ACCEPT


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
