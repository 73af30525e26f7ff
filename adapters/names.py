"""Adapter names and references.

A name becomes part of S3 keys and of the engine's adapter id. LoRAX turns `/` into `--` for its disk
cache, so `--` is not allowed in a name: two adapters would share one directory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.errors import InvalidName
from adapters.strict_json import shown

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$"
#: A limit of this project: leaves room for prefix, revision and file name in S3's 1,024-byte keys.
MAX_NAME_LENGTH = 200
#: Hexadecimal digits of a revision, which are the first of the content digest.
REVISION_LENGTH = 16
#: A module's own name, the last part of its path: `q_proj`, not `model.layers.0.self_attn.q_proj`.
MODULE_PATTERN = r"[A-Za-z0-9_]+"

_NAME = re.compile(NAME_PATTERN)
_REVISION = re.compile(rf"^[0-9a-f]{{{REVISION_LENGTH}}}$")


def check_name(name: str) -> str:
    """Return `name` if it is a valid adapter name; raise `InvalidName` otherwise."""
    remedy = "use lower-case letters, digits and . _ - (and / between parts), e.g. 'team/summaries-v2'"
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidName(
            name[:40] + "…", f"the name has {len(name)} characters", f"use at most {MAX_NAME_LENGTH}"
        )
    if _NAME.fullmatch(name) is None:
        raise InvalidName(name, "not a valid adapter name", remedy)
    if "--" in name:
        raise InvalidName(name, "'--' is not allowed in a name", "use a single '-'")
    if any(_REVISION.fullmatch(part) for part in name.split("/")):
        # Its keys would start with the prefix of another adapter's revision, and LoRAX downloads all keys
        # with that prefix.
        raise InvalidName(name, "a part of it looks like a revision", "add a letter above f, e.g. 'v'")
    return name


def check_revision(name: str, revision: str) -> str:
    """Return `revision` if it has the form of one; raise `InvalidName` otherwise."""
    if _REVISION.fullmatch(revision) is None:
        raise InvalidName(
            f"{name}@{revision}",
            f"{shown(revision)} is not a revision",
            f"write the {REVISION_LENGTH} hexadecimal digits that the registry entry shows",
        )
    return revision


def check_module(module: str) -> str:
    """Return `module` if it is a module's own name; raise `ValueError` with what to write otherwise."""
    if re.fullmatch(MODULE_PATTERN, module) is None:
        raise ValueError("write the module's own name, such as q_proj, without its path")
    return module


@dataclass(frozen=True)
class Reference:
    """A reference to an adapter: a name, or a name pinned to a revision."""

    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse `name` or `name@revision`; raise `InvalidName` if it is neither."""
        name, at, revision = text.partition("@")
        check_name(name)
        return cls(name, check_revision(name, revision) if at else None)
