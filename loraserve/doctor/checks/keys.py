"""The KMS keys that the stage names: there, enabled, symmetric, and usable by the account's roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.answers import unanswered
from loraserve.doctor.kms_keys import state_problem, state_remedy
from loraserve.doctor.resource_policy import Verdict, all_of, identities, verdict
from loraserve.doctor.target import account_of
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage, StageConfig


@dataclass(frozen=True)
class NamedKey:
    """A key of the stage file."""

    setting: str
    """The key of the stage file that names it."""
    arn: str
    actions: tuple[str, ...]
    """IAM actions of the account's roles with it."""

    @property
    def check(self) -> str:
        """The title of its findings."""
        return f"KMS key {self.setting}"

    @property
    def region(self) -> str:
        """The region of its ARN."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account of its ARN."""
        return self.arn.split(":")[4]


def named_keys(config: StageConfig) -> list[NamedKey]:
    """Return the keys of the stage file.

    Actions: the bucket's as in `stacks.adapter_store.grants`; a volume's key is used through a grant that
    SageMaker creates for the caller (CreateEndpointConfig, `KmsKeyId`).
    """
    keys = [NamedKey("decrypt_keys", arn, ("kms:Decrypt",)) for arn in config.decrypt_keys]
    if config.security.key_arn is not None:
        actions = ("kms:Decrypt", "kms:GenerateDataKey")
        keys.append(NamedKey("security.key_arn", config.security.key_arn, actions))
    if config.endpoint.volume_key is not None:
        keys.append(NamedKey("endpoint.volume_key", config.endpoint.volume_key, ("kms:CreateGrant",)))
    return keys


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about each key; none if the stage names none."""
    keys = named_keys(stage.config)
    if not keys:
        return
    kms, account = client("kms"), account_of(stage, client)
    for key in keys:
        if key.region != stage.config.region:
            yield unknown(
                key.check,
                f"{key.arn} is in another region, which is not asked",
                f"check it: aws kms describe-key --region {key.region} --key-id {key.arn}",
            )
            continue
        yield from _key(stage.config, kms, key, account)


def _key(config: StageConfig, kms: Any, key: NamedKey, account: str) -> Iterator[Finding]:
    try:
        metadata = kms.describe_key(KeyId=key.arn)["KeyMetadata"]
    except ClientError as error:
        if error_code(error) == "NotFoundException":
            yield problem(
                key.check,
                f"{key.arn} does not exist",
                f"list the keys (aws kms list-keys --region {config.region}), and correct {key.setting}",
            )
        else:
            yield unanswered(key.check, "kms:DescribeKey", error, key.arn)
        return
    if (found := state_problem(metadata)) is not None:
        yield problem(key.check, f"{key.arn}: {found}", state_remedy(metadata, config.region))
        return
    yield ok(key.check, f"{key.arn}: enabled, symmetric")
    if key.account != account:
        yield unknown(
            f"policy of {key.check}",
            f"{key.arn} is of account {key.account}, whose policies are not readable from here",
            f"let its policy allow {', '.join(key.actions)} to account {account}",
        )
    elif metadata["KeyManager"] == "CUSTOMER":
        yield _policy(config, kms, key)


def _policy(config: StageConfig, kms: Any, key: NamedKey) -> Finding:
    """Check that the key's policy leaves the decision to IAM: the stage's roles do not exist yet."""
    title, actions = f"policy of {key.check}", ", ".join(key.actions)
    try:
        policy = kms.get_key_policy(KeyId=key.arn, PolicyName="default")["Policy"]
    except ClientError as error:
        return unanswered(title, "kms:GetKeyPolicy", error, key.arn)
    account = identities(key.account, kms.meta.partition)
    found = all_of(verdict(policy, account, action) for action in key.actions)
    if found is Verdict.ALLOWED:
        return ok(title, f"{key.arn}: IAM policies of the account decide on {actions}")
    remedy = (
        f"add a statement to its policy that allows {actions} to the principal "
        f"arn:{kms.meta.partition}:iam::{key.account}:root (aws kms put-key-policy "
        f"--region {config.region} --key-id {key.arn} --policy-name default --policy file://policy.json)"
    )
    if found is Verdict.UNCLEAR:
        return unknown(
            title, f"{key.arn}: {actions} depends on a condition that is not evaluated here", remedy
        )
    return problem(title, f"{key.arn}: its policy does not allow {actions} to the account's roles", remedy)
