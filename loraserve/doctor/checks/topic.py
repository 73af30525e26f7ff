"""The alarms' SNS topic: there, and open to CloudWatch, with its key."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.answers import unanswered
from loraserve.doctor.kms_keys import state_problem, state_remedy
from loraserve.doctor.resource_policy import Requester, Verdict, all_of, service, verdict
from loraserve.doctor.target import account_of
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage

_CHECK = "alarm topic"
_POLICY = "policy of the alarm topic"
_KEY = "key of the alarm topic"
_CLOUDWATCH = "cloudwatch.amazonaws.com"
#: What SNS does with the key for a service that publishes; the stage's own topic allows the same
#: (`stacks.observability.alarm_topic`).
_KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about `observability.alarm_topic`; none if the stage creates the topic."""
    arn = stage.config.observability.alarm_topic
    if arn is None:
        return
    region, sns = stage.config.region, client("sns")
    try:
        attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    except ClientError as error:
        # SNS's model calls it NotFoundException; the code on the wire is NotFound.
        if error_code(error) in {"NotFound", "NotFoundException"}:
            yield problem(
                _CHECK,
                f"{arn} does not exist",
                f"list the topics (aws sns list-topics --region {region}) and correct "
                "observability.alarm_topic, or leave it out: the stage then creates a topic",
            )
        else:
            yield unanswered(_CHECK, "sns:GetTopicAttributes", error, arn)
        return
    subscribed = attributes.get("SubscriptionsConfirmed", "0")
    yield ok(_CHECK, f"{arn}, with {subscribed} confirmed subscriptions")
    alarms = _alarms(stage, account_of(stage, client), sns.meta.partition)
    allowed = verdict(attributes["Policy"], alarms, "sns:Publish")
    yield _verdict(
        _POLICY,
        allowed,
        found=f"CloudWatch and sns:Publish on {arn}",
        remedy=f"add a statement to the topic's policy that allows sns:Publish to the service {_CLOUDWATCH} "
        f"(aws sns set-topic-attributes --region {region} --topic-arn {arn} --attribute-name Policy "
        "--attribute-value file://policy.json)",
    )
    if key := attributes.get("KmsMasterKeyId"):
        yield from _key(client, key, alarms, region)


def _key(client: Client, key: str, alarms: Requester, region: str) -> Iterator[Finding]:
    kms = client("kms")
    other = (
        f"encrypt the topic with a customer key whose policy allows {', '.join(_KEY_ACTIONS)} to the service "
        f"{_CLOUDWATCH}"
    )
    sns_own = f"{key} is SNS's own key, which CloudWatch may not use: no alarm arrives"
    if key.endswith("alias/aws/sns"):
        yield problem(_KEY, sns_own, other)
        return
    try:
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if error_code(error) == "NotFoundException":
            yield problem(_KEY, f"{key} does not exist: SNS cannot encrypt an alarm", other)
        else:
            yield unanswered(_KEY, "kms:DescribeKey", error, key)
        return
    arn = metadata["Arn"]
    if metadata["KeyManager"] == "AWS":
        # Its policy cannot be changed, and allows principals of the account only.
        yield problem(_KEY, sns_own, other)
    elif (found := state_problem(metadata)) is not None:
        yield problem(_KEY, f"{arn}: {found}", state_remedy(metadata, region))
    else:
        try:
            policy = kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]
        except ClientError as error:
            yield unanswered(_KEY, "kms:GetKeyPolicy", error, arn)
            return
        yield _verdict(
            _KEY,
            all_of(verdict(policy, alarms, action) for action in _KEY_ACTIONS),
            found=f"CloudWatch and {', '.join(_KEY_ACTIONS)} with {arn}",
            remedy=f"add a statement to the key's policy that allows {', '.join(_KEY_ACTIONS)} to the "
            f"service {_CLOUDWATCH} (aws kms put-key-policy --region {region} --key-id {arn} "
            "--policy-name default --policy file://policy.json)",
        )


def _alarms(stage: LoadedStage, account: str, partition: str) -> Requester:
    """CloudWatch, on behalf of the stage's alarms; their names start with the endpoint's."""
    region = stage.config.region
    names = f"{stage.endpoint_name}-*"
    arn = f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{names}"
    return service(_CLOUDWATCH, account=account, source_arn=arn)


def _verdict(title: str, allowed: Verdict, *, found: str, remedy: str) -> Finding:
    if allowed is Verdict.ALLOWED:
        return ok(title, f"{found}: allowed")
    if allowed is Verdict.UNCLEAR:
        return unknown(title, f"{found}: it depends on a condition that is not evaluated here", remedy)
    return problem(title, f"{found}: not allowed, so that no alarm arrives", remedy)
