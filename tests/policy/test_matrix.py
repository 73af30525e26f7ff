"""What must hold whatever a stage file says: the matrix, synthesized once, under every rule and scanner."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from loraserve.diff import stack_templates
from tests.policy.conftest import Matrix
from tests.policy.matrix import OVERLAYS, keys, varied

Templates = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def templates(matrix: Matrix) -> Templates:
    """Every template of every overlay, by `Name/Stack`."""
    return {path: json.loads(file.read_text()) for path, file in stack_templates(matrix.assembly)}


def resources(template: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (r["Properties"] for r in template["Resources"].values() if r["Type"] == kind)


def test_every_overlay_says_what_it_guards() -> None:
    assert len(OVERLAYS) >= 40
    assert len({overlay.name for overlay in OVERLAYS}) == len(OVERLAYS)
    assert all(len(overlay.guards) > 10 for overlay in OVERLAYS)


def test_every_key_of_a_stage_file_is_varied() -> None:
    assert keys() - set.union(*(varied(overlay.overlay) for overlay in OVERLAYS)) == set()


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_an_overlay_synthesizes_to_the_stacks_it_should(overlay: Any, templates: Templates) -> None:
    stage = overlay.name.capitalize()
    found = {path.split("/")[1] for path in templates if path.startswith(f"{stage}/")}
    network = overlay.content().get("network", {})
    made = {"Network"} if "mode" in network and "security_group_ids" not in network else set()
    assert found == {"AdapterStore", "Observability", "Serving", "Scaling"} | made
