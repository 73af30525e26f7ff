"""The record of a deployment: what a stage got, from where, who approved it, and whether it serves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loraserve.finding import State


class DeploymentKind(StrEnum):
    """Reason of a deployment."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    BY_HAND = "by-hand"
    """`make deploy` of a working tree."""
    BREAK_GLASS = "break-glass"
    """`make deploy` of a stage that takes releases."""


class Outcome(StrEnum):
    """Result of a deployment."""

    VERIFIED = "verified"
    """Deployed and verified: it is what serves."""
    UNVERIFIED = "unverified"
    """Deployed and serves, but the verification found a problem, or was not asked for."""
    FAILED = "failed"
    """Not deployed: what served before, serves."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class CheckRecord(_Part):
    """A line of a table of checks."""

    check: str
    state: State
    found: str
    remedy: str = ""


class PreviousRecord(_Part):
    """The record of the stage before, on which a promotion is based."""

    stage: str
    ended: str
    image_digest: str | None


class DeploymentRecord(_Part):
    """The record of one deployment of a stage."""

    schema_version: Literal[1] = Field(1, alias="schema")
    stage: str
    account: str
    region: str
    kind: DeploymentKind
    outcome: Outcome
    release: str | None
    """Id of the release; None for a deployment by hand."""
    commit: str
    """Of a deployment by hand, the commit that the working tree changes."""
    tar_sha256: str | None
    promoted_from: PreviousRecord | None = None
    reason: str = ""
    """Of a rollback or of a deployment that breaks the glass."""
    approved_by: str = ""
    """As the pipeline says it."""
    run: str = ""
    """URL of the pipeline's run; user and host of a run by hand."""
    started: str
    """ISO 8601 in UTC, as `ended`."""
    ended: str
    templates: Mapping[str, str] = Field(default_factory=dict)
    """Hash of each stack's template, by name within the stage; see `release.template_sha256`."""
    endpoint_config: str | None = None
    """Name of the config that serves."""
    instance_type: str | None = None
    """Of that config: it is known though the config is deleted."""
    image_digest: str | None = None
    """`sha256:…` of the image that serves; None if SageMaker does not say."""
    adapters_sha256: str | None = None
    """Of the release's adapters; see `StageRelease`."""
    accepted: tuple[str, ...] = ()
    """Rules of review findings that were accepted."""
    checks: tuple[CheckRecord, ...] = ()
    verification: tuple[CheckRecord, ...] = ()
