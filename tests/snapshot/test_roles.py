"""Snapshot of the pipeline's roles in the account of Staging, which gives and takes releases."""

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.harness.roles import ACCOUNTS, role_templates
from tests.snapshot.test_templates import ACCEPT, normalised


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return role_templates(tmp_path_factory.mktemp("roles"))


def test_the_roles_are_as_reviewed(roles: dict[str, dict[str, Any]], snapshot: SnapshotAssertion) -> None:
    assert normalised(roles[ACCOUNTS["staging"]]) == snapshot(extension_class=JSONSnapshotExtension), ACCEPT


def test_two_synths_are_equal(roles: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert json.dumps(role_templates(tmp_path)) == json.dumps(roles)
