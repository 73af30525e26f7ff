"""The model of a stage file, `stages/<stage>.yaml`.

Each section validates its own keys. `stacks.config.loading` checks the rules between sections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stacks.config.manifest import Manifest
from stacks.config.sections.autoscaling import Autoscaling
from stacks.config.sections.base_model import BaseModelSource
from stacks.config.sections.cost import Cost
from stacks.config.sections.endpoint import Endpoint, KeyArn
from stacks.config.sections.engine import Engine, Gateway
from stacks.config.sections.network import Network
from stacks.config.sections.observability import Observability
from stacks.config.sections.rollout import Rollout
from stacks.config.sections.security import Security
from stacks.typed_yaml import Strict

_TAG = r"[A-Za-z0-9 _.:/=+@-]"
TagKey = Annotated[str, Field(pattern=rf"^{_TAG}{{1,128}}$")]
TagValue = Annotated[str, Field(pattern=rf"^{_TAG}{{0,256}}$")]


class StageConfig(Strict):
    """One stage: where it goes, what it serves and on what."""

    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Without it, the account of the credentials that deploy."""
    region: str = Field("us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """AWS region."""
    engine: Engine = Engine()
    """See below."""
    gateway: Gateway = Gateway()
    """See below."""
    image: str = "asset"
    """`asset`: built from container/<engine>/Dockerfile; or the URI of an image."""
    base_model: BaseModelSource
    """See below."""
    adapters: str
    """The adapter manifest, relative to the stage file."""
    allow_unpinned_sources: bool = False
    """Whether a Hub branch may stand where a commit belongs; for development."""
    hub_endpoint: str = Field("https://huggingface.co", pattern=r"^https?://[^/\s]+$")
    """The Hub that the seeder asks; a company's mirror of it has the same routes."""
    hub_token_secret: str | None = Field(None, max_length=512, pattern=r"^[A-Za-z0-9/_+=.@-]+$")
    """Name of a Secrets Manager secret, of the stage's account and region, with a Hub read token as its plain
    text: for private and gated repositories. The seeder reads it when it needs it."""
    decrypt_keys: list[KeyArn] = Field([], max_length=20)
    """ARNs of KMS keys, beside the stage's own, that the seeder may decrypt with: those of the buckets that
    adapters come from (another stage's store is one), and of the token's secret. Their policies must allow
    it, too."""
    endpoint: Endpoint = Endpoint()
    """See below."""
    autoscaling: Autoscaling = Autoscaling()
    """See below."""
    rollout: Rollout = Rollout()
    """See below."""
    observability: Observability = Observability()
    """See below."""
    network: Network = Network()
    """See below."""
    security: Security = Security()
    """See below."""
    cost: Cost = Cost()
    """See below."""
    tags: dict[TagKey, TagValue] = Field({}, max_length=40)
    """Of every resource, for the bill and for owners: activate them as cost allocation tags in the
    account."""
    retention_days: int = Field(30, ge=1, le=3650)
    """How long a revision stays in the bucket after its name stands for another one, or for none."""
    retain_data: bool = True
    """Whether bucket, key and contents outlive the stack."""
    termination_protection: bool = False
    """Whether CloudFormation refuses to delete the stage's stacks until someone takes this back."""


class LoadedStage(BaseModel):
    """A stage's config with what it refers to."""

    model_config = ConfigDict(frozen=True)

    name: str
    config: StageConfig
    manifest: Manifest
    directory: Path
    """Where relative paths of the stage start."""

    @property
    def local_model(self) -> Path | None:
        """The base model's directory, where it is local."""
        path = self.config.base_model.path
        return None if path is None else (self.directory / path).resolve()
