"""The description of a release, `release.json`: hashes of all that a promotion deploys.

A release is two files in a folder: `release.tar`, the cloud assembly of all its stages, and `release.json`.
Both depend on the commit and the lock files alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loraserve.errors import UserError
from stacks.config.stage_target import StageTarget

#: The files of a release.
ARCHIVE_FILE, RELEASE_FILE = "release.tar", "release.json"
SCHEMA: Literal[1] = 1


class ReleaseError(UserError):
    """A release that cannot be built, is damaged, or is not the one that is meant."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class StackRelease(_Document):
    """A stack of a stage."""

    name: str
    """Name within the stage, e.g. `Serving`."""
    stack_name: str
    """Name in CloudFormation."""
    template: str
    """Path of the template in the assembly."""
    template_sha256: str
    """See `template_sha256`."""
    termination_protection: bool


class ImageRelease(_Document):
    """The container's image."""

    asset: str | None
    """Hash of the image asset, which is the image's tag; None for an URI."""
    uri: str | None
    """URI with a digest; None for an asset."""
    base: str | None
    """Reference of the base image with its tag; None for an URI."""
    base_digest: str | None


class StageRelease(_Document):
    """A stage of a release."""

    name: str
    account: str
    region: str
    promote_from: str | None
    """The stage before; None for the first one."""
    is_protected: bool
    """The stage has `termination_protection`."""
    endpoint_name: str
    manifest_sha256: str
    """SHA-256 (hex) of the stage's manifest in the assembly: its artifacts."""
    stacks: tuple[StackRelease, ...]
    """In the order of deployment."""
    assets: tuple[str, ...]
    """Hashes of the assets, images included, sorted."""
    image: ImageRelease
    adapters_sha256: str
    """SHA-256 (hex) of the stage's adapters with their sources and digests, as its facts list them."""
    warnings: tuple[str, ...]
    """Warnings of the synth."""

    @property
    def target(self) -> StageTarget:
        """Account, region and names of the stage's resources."""
        return StageTarget(name=self.name, account=self.account, region=self.region)


class Release(_Document):
    """The file `release.json`."""

    schema_version: Literal[1] = Field(SCHEMA, alias="schema")
    release: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}-[0-9a-f]{7}$")]
    """Id: the commit's date and its short hash, e.g. `2026-11-27-1a2b3c4`; letters, digits and `-` only."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
    committed: str
    """Time of the commit, ISO 8601 in UTC."""
    repository: str | None
    """`owner/name` or URL of the repository, without credentials; None if it has no remote."""
    versions: Mapping[str, str]
    """Versions of what synthesized it: `aws-cdk-lib`, `constructs`, `aws-cdk`, `node`, `python`, and
    `assembly-schema`, which a CDK CLI must read."""
    tar_sha256: str
    """SHA-256 (hex) of `release.tar`."""
    stages: Mapping[str, StageRelease]
    """By name, each after the one that it is promoted from."""

    @model_validator(mode="after")
    def _is_named_by_its_commit(self) -> Self:
        if self.release.rpartition("-")[2] != self.commit[:7]:
            raise ValueError(f"the release {self.release} is not of the commit {self.commit}")
        return self

    def stage(self, name: str) -> StageRelease:
        """Return a stage; raises `ReleaseError` if the release does not have it."""
        if name not in self.stages:
            raise ReleaseError(
                f"release {self.release} has no stage {name!r}, it has {', '.join(self.stages)}: name one of "
                "them; a stage is in a release if promote_from connects it with another one"
            )
        return self.stages[name]


def template_sha256(template: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a template's canonical JSON: sorted keys, no blanks, ASCII only.

    CloudFormation returns templates with other blanks than it was given, and as `as_returned` says.
    """
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(as_returned(text).encode()).hexdigest()


def as_returned(text: str) -> str:
    """Return a text of a template as CloudFormation returns it: `?` for each character beyond ASCII.

    See `mangleLikeCloudFormation` in the sources of the CDK CLI.
    """
    return "".join(character if character.isascii() else "?" for character in text)


def to_json(document: BaseModel) -> bytes:
    """Return a document as its file has it."""
    content = document.model_dump(mode="json", by_alias=True)
    return (json.dumps(content, indent=1) + "\n").encode()


def read_release(path: Path) -> Release:
    """Read `release.json`; raises `ReleaseError`."""
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{path} is missing: name the folder of a release, as `make release` writes it"
        ) from error
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise ReleaseError(f"{path} is no release of this version: {reason}; build it again") from error
