"""Verdicts on resource policies, by IAM's evaluation logic."""

import json
from typing import Any

import pytest

from loraserve.doctor.resource_policy import Verdict, all_of, identities, service, verdict

ACCOUNT = "111122223333"
ALARMS = service(
    "cloudwatch.amazonaws.com",
    account=ACCOUNT,
    source_arn=f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:LoraServing-Dev-*",
)
OWN = identities(ACCOUNT, "aws")
CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def allow(principal: Any, action: Any = "sns:Publish", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", **more}


def when(operator: str, **keys: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key.replace("__", ":"): value for key, value in keys.items()}}}


def of(*statements: dict[str, Any], requester: Any = ALARMS, action: str = "sns:Publish") -> Verdict:
    return verdict(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), requester, action)


@pytest.mark.parametrize(
    "statement",
    [
        allow(CLOUDWATCH),
        allow({"Service": ["events.amazonaws.com", "cloudwatch.amazonaws.com"]}),
        allow("*"),
        allow({"AWS": "*"}, ["SNS:Subscribe", "SNS:Publish"]),
        allow(CLOUDWATCH, "sns:*"),
        allow(CLOUDWATCH, "*"),
        {"Effect": "Allow", "Principal": "*", "NotAction": "sns:Subscribe", "Resource": "*"},
        allow({"AWS": "*"}, **when("StringEquals", AWS__SourceOwner=ACCOUNT)),
        allow(CLOUDWATCH, **when("StringEquals", aws__SourceAccount=[ACCOUNT, "1" * 12])),
        allow(
            CLOUDWATCH, **when("ArnLike", aws__SourceArn=f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:*")
        ),
        allow(CLOUDWATCH, **when("StringLike", aws__SourceArn="arn:aws:cloudwatch:*")),
        allow(CLOUDWATCH, **when("Bool", aws__SecureTransport="true")),
    ],
)
def test_allowed(statement: dict[str, Any]) -> None:
    assert of(statement) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "statement",
    [
        allow(ROOT),
        allow({"Service": "events.amazonaws.com"}),
        allow(CLOUDWATCH, "sns:Subscribe"),
        allow(CLOUDWATCH, "sns:PublishBatch"),
        {"Effect": "Allow", "Principal": "*", "NotAction": "sns:Pub*", "Resource": "*"},
        allow(CLOUDWATCH, **when("StringEquals", aws__SourceAccount="999999999999")),
        allow(
            CLOUDWATCH, **when("ArnLike", aws__SourceArn=f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:*")
        ),
        allow(CLOUDWATCH, **when("ArnLike", aws__SourceArn="arn:aws:events:*")),
    ],
)
def test_not_allowed(statement: dict[str, Any]) -> None:
    assert of(statement) is Verdict.NOT_ALLOWED


@pytest.mark.parametrize(
    "statement",
    [
        allow(CLOUDWATCH, **when("StringEquals", aws__PrincipalOrgID="o-1")),
        allow(CLOUDWATCH, **when("StringNotEquals", aws__SourceAccount="999999999999")),
        allow(CLOUDWATCH, **when("IpAddress", aws__SourceIp="10.0.0.0/8")),
        {"Effect": "Allow", "NotPrincipal": ROOT, "Action": "sns:Publish", "Resource": "*"},
        # Some of the stage's alarms, depending on their names.
        allow(
            CLOUDWATCH,
            **when(
                "ArnLike",
                aws__SourceArn=f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:LoraServing-Dev-Serving-*",
            ),
        ),
    ],
)
def test_unclear(statement: dict[str, Any]) -> None:
    assert of(statement) is Verdict.UNCLEAR


def test_a_deny_wins_and_one_for_plain_connections_does_not_apply() -> None:
    plain = when("Bool", aws__SecureTransport="false")
    assert of(allow("*"), allow("*") | {"Effect": "Deny"} | plain) is Verdict.ALLOWED
    assert of(allow("*"), allow(CLOUDWATCH) | {"Effect": "Deny"}) is Verdict.NOT_ALLOWED
    organization = when("StringNotEquals", aws__PrincipalOrgID="o-1")
    assert of(allow("*"), allow("*") | {"Effect": "Deny"} | organization) is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([allow(ROOT, "kms:*")], Verdict.ALLOWED),
        ([allow({"AWS": ACCOUNT}, ["kms:Decrypt", "kms:GenerateDataKey*"])], Verdict.ALLOWED),
        ([allow({"AWS": "*"}, "kms:*", **when("StringEquals", kms__CallerAccount=ACCOUNT))], Verdict.ALLOWED),
        ([allow({"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"}, "kms:*")], Verdict.NOT_ALLOWED),
        ([allow(ROOT, "kms:Describe*")], Verdict.NOT_ALLOWED),
        (
            [allow(ROOT, "kms:*", **when("StringEquals", kms__ViaService="s3.eu-west-1.amazonaws.com"))],
            Verdict.UNCLEAR,
        ),
        ([], Verdict.NOT_ALLOWED),
    ],
)
def test_a_key_that_leaves_the_decision_to_iam(statements: list[dict[str, Any]], expected: Verdict) -> None:
    assert of(*statements, requester=OWN, action="kms:GenerateDataKey") is expected


def test_a_policy_may_have_one_statement_instead_of_a_list() -> None:
    assert verdict(json.dumps({"Statement": allow(CLOUDWATCH)}), ALARMS, "sns:Publish") is Verdict.ALLOWED


def test_several_actions_are_as_allowed_as_the_least_allowed_one() -> None:
    assert all_of([Verdict.ALLOWED, Verdict.UNCLEAR]) is Verdict.UNCLEAR
    assert all_of([Verdict.UNCLEAR, Verdict.NOT_ALLOWED, Verdict.ALLOWED]) is Verdict.NOT_ALLOWED
    assert all_of([Verdict.ALLOWED]) is Verdict.ALLOWED
