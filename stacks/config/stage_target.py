"""The place that a stage is deployed to, and the names of its resources there."""

from __future__ import annotations

from dataclasses import dataclass

#: The name of a stage is part of the endpoint's, `LoraServing-<Stage>-Serving`, which has 63 characters.
STAGE_NAME = r"[a-z][a-z0-9]{0,30}"
#: Beginning of every stack's name.
STACK_PREFIX = "LoraServing-"
#: Tag of every resource of a stage, with the stage's name.
STAGE_TAG = "lora-serving:stage"


@dataclass(frozen=True, kw_only=True)
class StageTarget:
    """A stage's account and region; from its file, or from a release."""

    name: str
    """Name of the stage file, e.g. `prod`."""
    account: str | None
    """Twelve digits; None for the account of the credentials."""
    region: str

    @property
    def id(self) -> str:
        """Name of the stage in the CDK app, e.g. `Prod`."""
        return self.name.capitalize()

    def stack_name(self, stack: str) -> str:
        """Name in CloudFormation of one of the stage's stacks, e.g. `LoraServing-Prod-Serving`."""
        return f"{STACK_PREFIX}{self.id}-{stack}"

    @property
    def endpoint_name(self) -> str:
        """Name of the endpoint: that of its stack, because model and alarms are created before it."""
        return self.stack_name("Serving")
