"""The model of a stage file, `stages/<stage>.yaml`.

Each section validates its own keys. `stacks.config.loading` checks the rules between sections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from adapters.source_remedies import HUGGING_FACE
from stacks.config.hub_endpoint import normalized
from stacks.config.manifest import Manifest
from stacks.config.regions import check_region
from stacks.config.sections.autoscaling import Autoscaling
from stacks.config.sections.base_model import BaseModelSource
from stacks.config.sections.cost import Cost
from stacks.config.sections.endpoint import Endpoint, KeyArn
from stacks.config.sections.engine import Engine, Gateway
from stacks.config.sections.network import Network
from stacks.config.sections.observability import Observability
from stacks.config.sections.rollout import Rollout
from stacks.config.sections.security import Security
from stacks.config.stage_target import STAGE_NAME, StageTarget
from stacks.typed_yaml import Strict, shaped

_TAG = r"[A-Za-z0-9 _.:/=+@-]"
_TAG_REMEDY = "write letters, digits, spaces and _ . : / = + @ - only"
TagKey = Annotated[str, shaped(rf"{_TAG}{{1,128}}", f"{_TAG_REMEDY}, 1 to 128 of them")]
TagValue = Annotated[str, shaped(rf"{_TAG}{{0,256}}", f"{_TAG_REMEDY}, at most 256 of them")]
SecretName = Annotated[
    str,
    shaped(
        "[A-Za-z0-9/_+=.@-]{1,512}",
        "write the secret's name, not its ARN: at most 512 letters, digits and / _ + = . @ -",
    ),
]

#: A principal of a policy: S3 refuses a policy with a role that does not exist.
StoreReader = Annotated[
    str,
    shaped(
        r"\d{12}|arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}",
        "write an account's 12 digits in quotes, or the ARN of a role, e.g. "
        "arn:aws:iam::111122223333:role/LoraServing-Deploy",
    ),
]
StageName = Annotated[
    str, shaped(STAGE_NAME, "write the name of a stage file without .yaml: lower-case letters and digits")
]


class StageConfig(Strict):
    """A stage: account and region, base model, adapters, engine and infrastructure."""

    account: Annotated[str, shaped(r"\d{12}", "write the account's 12 digits in quotes")] | None = None
    """AWS account; by default the one of the deploying credentials."""
    region: Annotated[str, AfterValidator(check_region)] = "us-east-1"
    """AWS region, one with SageMaker hosting."""
    promote_from: StageName | None = None
    """Stage that a release must be verified in before it is promoted to this one, e.g. `staging`. Stages of
    a release name their `account`."""
    engine: Engine = Engine()
    """See below."""
    gateway: Gateway = Gateway()
    """See below."""
    image: str = "asset"
    """`asset`: built from container/<engine>/Dockerfile. Otherwise the URI of an image."""
    base_model: BaseModelSource
    """See below."""
    adapters: str
    """Path of the adapter manifest, relative to the stage file."""
    adapters_locked: bool = False
    """Accept only adapters that `adapters lock` wrote: with `digest` and a source in the store of the stage
    `promote_from`, or in the stage's own. What that stage has tested is copied, and no Hub is asked."""
    store_readers: list[StoreReader] = Field([], max_length=20)
    """Accounts, or ARNs of roles, that may read adapters, registry and releases in the stage's bucket, and
    decrypt them: those of the stage that is promoted from this one. In the stage's own account IAM policies
    decide alone. A role must exist before it is named here; one that is created again must be set again."""
    allow_unpinned_sources: bool = False
    """Accept Hub branches in place of commits; for development."""
    hub_endpoint: Annotated[str, AfterValidator(normalized)] = HUGGING_FACE
    """URL of the Hub or of a mirror with the same routes, for the seeder; with the path of an artifact
    repository, as HF_ENDPOINT has it, e.g. `https://host/artifactory/api/huggingfaceml/repository`. The
    container always asks huggingface.co, so another Hub needs `base_model.mirror: true`."""
    hub_token_secret: SecretName | None = None
    """Name of a Secrets Manager secret, of the stage's account and region, with a Hub read token as its plain
    text: for private and gated repositories. The seeder alone reads it, so a base model that needs it has to
    be mirrored."""
    decrypt_keys: list[KeyArn] = Field([], max_length=20)
    """ARNs of additional KMS keys that the seeder may decrypt with: those of source buckets, such as another
    stage's store, and of the token's secret. The policies of the keys must allow it, too."""
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
    """Tags of every resource. To see them on the bill, activate them as cost allocation tags in the
    account."""
    retention_days: int = Field(30, ge=1, le=3650)
    """Days that a revision stays in the bucket after its name points to another one, or is removed."""
    retain_data: bool = True
    """Keep bucket, key and contents when the stack is deleted."""
    termination_protection: bool = False
    """CloudFormation refuses to delete the stage's stacks while this is set."""


class LoadedStage(BaseModel):
    """A stage's config with the files that it refers to."""

    model_config = ConfigDict(frozen=True)

    name: str
    config: StageConfig
    manifest: Manifest
    directory: Path
    """Base of the stage's relative paths."""

    @property
    def target(self) -> StageTarget:
        """Account, region and names of the stage's resources."""
        return StageTarget(name=self.name, account=self.config.account, region=self.config.region)

    @property
    def id(self) -> str:
        """Name of the stage in the CDK app, e.g. `Dev`."""
        return self.target.id

    def stack_name(self, stack: str) -> str:
        """Name in CloudFormation of one of the stage's stacks, see `StageTarget.stack_name`."""
        return self.target.stack_name(stack)

    @property
    def endpoint_name(self) -> str:
        """Name of the endpoint, see `StageTarget.endpoint_name`."""
        return self.target.endpoint_name

    @property
    def local_model(self) -> Path | None:
        """Directory of a local base model; None for one from the Hub."""
        path = self.config.base_model.path
        return None if path is None else (self.directory / path).resolve()
