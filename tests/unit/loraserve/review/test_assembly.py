"""Addresses of assets in another account or region."""

import pytest

from loraserve.review.assembly import Stack

ANY = "${AWS::AccountId}"


def stack(account: str, region: str) -> Stack:
    return Stack(
        name="Store", stack_name="Store", account=account, region=region, termination_protection=False,
        tags={}, dependencies=(), template={},
    )  # fmt: skip


def image(account: str, region: str, repository: str = "cdk-hnb659fds-container-assets") -> str:
    return f"{account}.dkr.ecr.{region}.${{AWS::URLSuffix}}/{repository}-{account}-{region}:abc"


@pytest.mark.parametrize(("before", "after", "is_same"), [
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-2", True),
    (image(ANY, "us-east-1"), image("111122223333", "us-west-2"), True),
    # Of another account or region than the stack's, another qualifier, or not of the bootstrap at all.
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-444455556666-us-west-2", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-1", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-other-assets-111122223333-us-west-2", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-2-x", False),
    ("code-us-east-1", "code-us-west-2", False),
    (image(ANY, "us-east-1"), image("444455556666", "us-west-2"), False),
    (image(ANY, "us-east-1", "other"), image("111122223333", "us-west-2", "other"), False),
    (image(ANY, "us-east-1"), image("111122223333", "us-west-2").replace("${AWS::URLSuffix}", "example.com"), False),
])  # fmt: skip
def test_a_bootstrap_resource_of_the_stacks_own_environment_is_the_same_in_another(
    before: str, after: str, is_same: bool
) -> None:
    old, new = stack("unknown-account", "us-east-1"), stack("111122223333", "us-west-2")
    assert (old.without_environment(before) == new.without_environment(after)) is is_same
