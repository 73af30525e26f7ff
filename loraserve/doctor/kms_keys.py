"""KMS keys, as DescribeKey reports them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


class KeyOwner(StrEnum):
    """`KeyManager` of KMS's DescribeKey."""

    AWS = "AWS"
    """A service's own key, e.g. `aws/s3`: its policy lets every principal of the account use it there."""
    CUSTOMER = "CUSTOMER"


def key_owner(kms: Any, key: str) -> KeyOwner | None:
    """Return the owner of a key (an ARN, an id or an alias); None if KMS does not say."""
    try:
        return KeyOwner(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"])
    except (BotoCoreError, ClientError):
        return None


def state_problem(metadata: dict[str, Any]) -> str | None:
    """Return why a key (`KeyMetadata`) cannot encrypt and decrypt data; None if it can.

    States: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    """
    state = metadata["KeyState"]
    if state == "PendingDeletion":
        return f"it is scheduled for deletion on {metadata.get('DeletionDate', 'an unknown date')}"
    if state != "Enabled":
        return f"its state is {state}"
    spec = metadata.get("KeySpec") or metadata.get("CustomerMasterKeySpec")
    if spec != "SYMMETRIC_DEFAULT" or metadata["KeyUsage"] != "ENCRYPT_DECRYPT":
        return f"it is a key of {spec} for {metadata['KeyUsage']}"
    return None


def state_remedy(metadata: dict[str, Any], region: str) -> str:
    """Return the remedy of a `state_problem`."""
    key = metadata["KeyId"]
    if metadata["KeyState"] == "Disabled":
        return f"aws kms enable-key --region {region} --key-id {key}"
    if metadata["KeyState"] == "PendingDeletion":
        return (
            f"aws kms cancel-key-deletion --region {region} --key-id {key}, and then "
            f"aws kms enable-key --region {region} --key-id {key}; or name another key"
        )
    return "name an enabled key with KeySpec SYMMETRIC_DEFAULT and KeyUsage ENCRYPT_DECRYPT"
