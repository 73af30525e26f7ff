"""Encryption and the bounds of roles."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stacks.config.sections.endpoint import KeyArn
from stacks.typed_yaml import Strict, shaped

_POLICY = shaped(
    "[A-Za-z0-9+=,.@_/-]{1,512}",
    "write the policy's name, not its ARN: at most 512 letters, digits and + = , . @ _ / -",
)


class Security(Strict):
    """Encryption at rest, and the permissions boundary of the stage's roles."""

    encryption: Literal["customer_key", "s3_managed"] = "customer_key"
    """Encryption of the bucket: a KMS key of the account, whose use is logged and can be revoked; or S3's
    key. It cannot be changed in a deployed stage, which could no longer read its objects: create another
    stage."""
    key_arn: KeyArn | None = None
    """An existing key whose policy lets this account use it by IAM; by default the stage creates one. It
    cannot be changed in a deployed stage, as `encryption`."""
    key_rotation_days: int = Field(365, ge=90, le=2560)
    """Days between rotations of the stage's own key."""
    permissions_boundary: Annotated[str, _POLICY] | None = None
    """Name of the managed policy, in the stage's account, that bounds every role; many organizations require
    one."""

    @model_validator(mode="after")
    def _one_key(self) -> Security:
        if self.encryption == "s3_managed" and self.key_arn is not None:
            raise ValueError("key_arn needs encryption: customer_key; leave it out for S3's own encryption")
        return self
