"""Tools that a side is synthesized with: pinned packages, the CDK's feature flags, the CLI's settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from loraserve.errors import UserError
from loraserve.review.difference import Json

#: Lock file and name, e.g. `("requirements.txt", "aws-cdk-lib")`.
Entry = tuple[str, str]
#: Name of a requirement, with its extras, and the rest (https://peps.python.org/pep-0508/).
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+(\[[^]]*\])?)\s*(?P<rest>.*)")

#: Folders with lock files of pip: of the tools, of the Lambda layer and of the images. What the last two
#: install is also content of assets, in which neither an index nor a missing checksum shows.
_FOLDERS = (".", "lambdas", "container", "container/gateway")


class ToolingError(UserError):
    """A lock file or a cdk.json that cannot be read."""


class LockedPackage(NamedTuple):
    """A package as a lock file has it."""

    version: str
    """E.g. `2.275.0`; what stands in a requirements file in place of `==`, if it pins none."""
    is_exact: bool
    """True if one version is pinned."""
    address: str = ""
    """Address of the package; empty for the index's."""
    checksum: str = ""


@dataclass(frozen=True, kw_only=True)
class Tooling:
    """The tools of one side."""

    packages: Mapping[Entry, LockedPackage]
    options: Mapping[Entry, str]
    """Options of pip in requirements files, e.g. `--extra-index-url`."""
    flags: Mapping[str, Json]
    """`context` of cdk.json."""
    settings: Mapping[str, Json]
    """The other keys of cdk.json."""


def tooling(root: Path) -> Tooling:
    """Read the tooling of a working copy. Of a file that an old commit lacks, there is nothing.

    Raises `ToolingError`.
    """
    packages: dict[Entry, LockedPackage] = {}
    options: dict[Entry, str] = {}
    for path in sorted(found for folder in _FOLDERS for found in (root / folder).glob("*requirements*.txt")):
        file = path.relative_to(root).as_posix()
        for line in _lines(path.read_text()):
            found = _REQUIREMENT.fullmatch(line)
            if found is None or line.startswith("-"):
                entry = file, re.split(r"[= ]", line)[0]
                options[entry] = f"{options[entry]} {line}" if entry in options else line
            else:
                name, package = _requirement(found["name"], found["rest"])
                packages[file, name] = package
    lock = root / "package-lock.json"
    for path, entry in _json(lock).get("packages", {}).items():
        if path:  # not the project itself
            packages[lock.name, path.removeprefix("node_modules/")] = LockedPackage(
                version=entry.get("version", ""),
                is_exact=True,
                address=entry.get("resolved", ""),
                checksum=entry.get("integrity", ""),
            )
    settings = _json(root / "cdk.json")
    flags = settings.pop("context", {})
    return Tooling(packages=packages, options=options, flags=flags, settings=settings)


def _lines(text: str) -> list[str]:
    """Return the lines of a requirements file without comments, continued lines joined."""
    lines = (line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _requirement(name: str, text: str) -> tuple[str, LockedPackage]:
    """Read what follows a name: `==1.0 ; marker --hash=sha256:…` or `@ https://…`.

    The marker is part of the name: a package may have a version for each version of Python.
    """
    requirement, _, hashes = text.partition("--hash=")
    requirement, _, marker = requirement.partition(" ;" if requirement.startswith("@") else ";")
    requirement = requirement.strip()
    checksum = " ".join(sorted(hashes.replace("--hash=", " ").split()))
    if marker:
        name = f"{name} ; {marker.strip()}"
    if requirement.startswith("@"):
        address = requirement[1:].strip()
        return name, LockedPackage(version=address, is_exact=True, address=address, checksum=checksum)
    version = requirement.removeprefix("==").strip()
    is_exact = requirement.startswith("==") and "*" not in version
    return name, LockedPackage(version=version, is_exact=is_exact, checksum=checksum)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ToolingError(f"{path}: not JSON ({error}); correct it") from error
    if not isinstance(content, dict):
        raise ToolingError(f"{path}: not a JSON object; correct it")
    return content
