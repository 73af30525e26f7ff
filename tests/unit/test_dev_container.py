"""The dev container: a Mac or Windows user runs the demo in it.

The format is that of devContainer.base.schema.json of https://github.com/devcontainers/spec (version of commit
08c3f97f), reduced to the keys that are used here. Image and features are pinned by exact version. Their digests
are not known here: they cannot be looked up without the registries.
"""

import json
import re
from typing import Any

import jsonschema
import pytest

from loraserve.setup.platforms import LAPTOP_GLIBC
from loraserve.setup.python_versions import NEWEST, OLDEST
from stacks.project import ROOT

COMMAND = {"type": ["string", "array"], "items": {"type": "string"}}
SIZE = {"type": "string", "pattern": r"^\d+([tgmk]b)?$"}
SCHEMA = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "features": {"type": "object"},
        "hostRequirements": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"cpus": {"type": "integer", "minimum": 1}, "memory": SIZE, "storage": SIZE},
        },
        "mounts": {"type": "array", "items": {"type": "string"}},
        "remoteUser": {"type": "string"},
        "onCreateCommand": COMMAND,
        "updateContentCommand": COMMAND,
        "customizations": {"type": "object", "additionalProperties": {"type": "object"}},
    },
}
#: glibc of Debian's releases, https://packages.debian.org/libc6.
GLIBC = {"bookworm": (2, 36), "trixie": (2, 41)}
#: Variables in the values: https://containers.dev/implementors/json_reference, "Variables in devcontainer.json".
VARIABLES = {"containerWorkspaceFolder", "devcontainerId"}
CONTAINER: dict[str, Any] = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())


def mounts() -> list[dict[str, str]]:
    return [dict(part.split("=", 1) for part in mount.split(",")) for mount in CONTAINER["mounts"]]


def test_it_has_the_format() -> None:
    jsonschema.validate(CONTAINER, SCHEMA)


@pytest.mark.parametrize("slip", [{"imagge": "x"}, {"hostRequirements": {"memory": "8 GB"}}, {"mounts": "x"}])
def test_the_format_finds_a_slip(slip: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(CONTAINER | slip, SCHEMA)


def test_image_and_features_are_pinned() -> None:
    exact = re.compile(r"[\w./-]+:\d+\.\d+\.\d+(-3\.\d+-[a-z]+)?(@sha256:[0-9a-f]{64})?")
    for reference in (CONTAINER["image"], *CONTAINER["features"]):
        assert exact.fullmatch(reference), reference


def test_its_python_and_glibc_are_ones_that_the_set_up_accepts() -> None:
    found = re.search(r"-(3)\.(\d+)-([a-z]+)", CONTAINER["image"])
    assert found is not None
    assert OLDEST <= (int(found[1]), int(found[2])) <= NEWEST
    assert GLIBC[found[3]] >= LAPTOP_GLIBC


def test_its_commands_are_targets_of_the_makefile() -> None:
    command = CONTAINER["updateContentCommand"]
    assert command == "make setup-laptop"
    assert re.search(r"^[\w -]*\bsetup-laptop\b[\w -]*:$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_what_is_installed_in_it_is_not_what_is_installed_outside() -> None:
    """The folder is shared with the host, whose environments have programs of another system."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    environments = {name for name in ignored if name.startswith(".venv") or name == "node_modules"}
    volumes = {mount["target"] for mount in mounts() if mount["type"] == "volume"}
    assert {f"${{containerWorkspaceFolder}}/{name}" for name in environments} < volumes
    # A new volume belongs to root.
    owned = {target.removeprefix("${containerWorkspaceFolder}/") for target in volumes}
    assert set(CONTAINER["onCreateCommand"].split()[3:]) == owned


def test_it_needs_no_folder_of_the_host() -> None:
    """A bind mount of a folder that does not exist, such as ~/.aws, would stop the container's start."""
    assert {mount["type"] for mount in mounts()} == {"volume"}
    used = re.findall(r"\$\{(\w+)", json.dumps(CONTAINER))
    assert set(used) == VARIABLES
