"""Encryption and the bounds of roles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stacks.config.sections.endpoint import KeyArn
from stacks.typed_yaml import Strict


class Security(Strict):
    """Encryption at rest, and what no role of the stage may exceed."""

    encryption: Literal["customer_key", "s3_managed"] = "customer_key"
    """Of the bucket: a KMS key of your own, whose use is logged and can be revoked; or S3's. It is for what
    is written from then on: a deployed stage could no longer read what it has. Make another stage instead."""
    key_arn: KeyArn | None = None
    """A key that is there already, and whose policy lets this account use it by IAM; by default the stage
    makes one. Not to be changed once the stage is deployed, as `encryption`."""
    key_rotation_days: int = Field(365, ge=90, le=2560)
    """How often the stage's own key gets new material."""
    permissions_boundary: str | None = Field(None, pattern=r"^[A-Za-z0-9+=,.@_/-]{1,512}$")
    """Name of the managed policy, in the stage's account, that bounds every role; many organizations let a
    deployment create no role without one."""

    @model_validator(mode="after")
    def _one_key(self) -> Security:
        if self.encryption == "s3_managed" and self.key_arn is not None:
            raise ValueError("key_arn needs encryption: customer_key; leave it out for S3's own encryption")
        return self
