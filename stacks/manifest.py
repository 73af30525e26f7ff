"""The adapter manifest: which adapters a stage serves and where each comes from."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from adapters.errors import AdapterError
from adapters.names import check_name
from adapters.store import ADAPTER_FILES

HUB_SOURCE = re.compile(r"^hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def _checked_name(name: str) -> str:
    try:
        return check_name(name)
    except AdapterError as error:
        raise ValueError(f"{error.problem}; {error.remedy}") from error


class Adapter(BaseModel):
    """One line of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    name: Annotated[str, AfterValidator(_checked_name)]
    """Lower-case letters, digits and `. _ -`, in parts separated by `/`; at most 200 characters, no `--`."""
    source: str
    """`hf://org/repo@<commit>`, `s3://bucket/prefix/` or a local directory, relative to the manifest."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of the weights file; without it, what the source says is trusted."""
    labels: dict[str, str] = {}
    """Anything that helps people tell adapters apart."""
    copies: int | None = Field(None, ge=1, le=9999)
    """Publish it as name-0001 … name-N instead: the seed article's "many adapters" exercise."""

    @property
    def is_local(self) -> bool:
        """Whether the source is a directory of this repository."""
        return "://" not in self.source

    def names(self) -> list[str]:
        """The names under which it is published."""
        if self.copies is None:
            return [self.name]
        return [f"{self.name}-{number:04d}" for number in range(1, self.copies + 1)]

    def source_problem(self, directory: Path, *, unpinned: bool) -> str | None:
        """What is wrong with the source, if anything; `directory` is where relative paths start."""
        if self.is_local:
            missing = [file for file in ADAPTER_FILES if not (directory / self.source / file).is_file()]
            return f"{self.source!r} has no {missing[0]}" if missing else None
        if self.source.startswith("s3://"):
            return None if self.source.endswith("/") else f"{self.source!r} must end with '/'"
        hub = HUB_SOURCE.fullmatch(self.source)
        if hub is None:
            return f"{self.source!r} is none of hf://org/repo@commit, s3://bucket/prefix/, a local directory"
        if not unpinned and _COMMIT.fullmatch(hub["revision"]) is None:
            return f"{hub['revision']!r} is not a commit; pin the 40-digit commit that was tested"
        return None


class Manifest(BaseModel):
    """The adapters of a stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    adapters: list[Adapter]
    """See below."""

    @model_validator(mode="after")
    def _unique(self) -> Manifest:
        seen: set[str] = set()
        for name in self.published_names():
            if name in seen:
                raise ValueError(f"adapter {name!r} is listed twice")
            seen.add(name)
        return self

    def published_names(self) -> Iterator[str]:
        """Every name that is published, copies included."""
        for adapter in self.adapters:
            yield from adapter.names()

    def pack(self, directory: Path, target: Path) -> list[dict[str, Any]]:
        """Copy local adapters below `target`/adapters and return the list the seeder reads.

        `directory` is where the manifest lies. A packed source reads `asset://adapters/<number>/`.
        """
        packed = []
        for number, adapter in enumerate(self.adapters):
            source = adapter.source
            if adapter.is_local:
                source = f"asset://adapters/{number:04d}/"
                folder = target / "adapters" / f"{number:04d}"
                folder.mkdir(parents=True)
                for file in ADAPTER_FILES:
                    shutil.copyfile(directory / adapter.source / file, folder / file)
            packed.append(
                {
                    "names": adapter.names(),
                    "source": source,
                    "sha256": adapter.sha256,
                    "labels": adapter.labels,
                }
            )
        return packed


def write_json(path: Path, data: Any) -> None:
    """Write JSON that depends on the data alone, so that equal input gives an equal asset."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
