"""One edit of a stage's templates each, and what the rules by type say of it, at which level."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.adapters import adapters
from loraserve.review.rules.alarms import alarms
from loraserve.review.rules.form import form
from loraserve.review.rules.identity import identity
from loraserve.review.rules.loss import loss
from loraserve.review.rules.network import network
from tests.unit.loraserve.review.rules.base import Edit, base, compared

N, R, V, B = Level.NOISE, Level.ROUTINE, Level.REVIEW, Level.BLOCK
BUCKET, KEY, SEEDING = "Bucket83908E77", "Key961B73FD", "Seeding"
TOPIC, TOPIC_KEY = "AlarmTopicAD6681D3", "AlarmTopicKey0C813E5B"


@dataclass(frozen=True)
class Case:
    """An edit, its findings, and the properties that the rules of other topics judge."""

    edit: Edit
    expected: frozenset[tuple[str, Level]]
    left: frozenset[str]


CASES: dict[str, Case] = {}


def case(name: str, edit: Edit, *expected: tuple[str, Level], left: tuple[str, ...] = ()) -> None:
    """Add a case; `left` has names of properties, or logical ids, that other rules judge."""
    assert name not in CASES
    CASES[name] = Case(edit, frozenset(expected), frozenset(left))


def put(stack: str, logical_id: str, **values: Any) -> Edit:
    """Set properties of a resource; None removes one."""

    def edit(templates: dict[str, Any]) -> None:
        found = templates[stack]["Resources"][logical_id].setdefault("Properties", {})
        for name, value in values.items():
            if value is None:
                found.pop(name)
            else:
                found[name] = value

    return edit


def attribute(stack: str, logical_id: str, **values: Any) -> Edit:
    """Set attributes of a resource beside its properties."""
    return lambda templates: templates[stack]["Resources"][logical_id].update(values)


def remove(stack: str, *logical_ids: str) -> Edit:
    """Remove resources."""

    def edit(templates: dict[str, Any]) -> None:
        for each in logical_ids:
            del templates[stack]["Resources"][each]

    return edit


def rename(stack: str, old: str, new: str) -> Edit:
    """Give a resource another logical id, wherever the stack names it."""

    def edit(templates: dict[str, Any]) -> None:
        templates[stack] = json.loads(json.dumps(templates[stack]).replace(f'"{old}"', f'"{new}"'))

    return edit


def all_of(*edits: Edit) -> Edit:
    """Do several edits."""

    def edit(templates: dict[str, Any]) -> None:
        for each in edits:
            each(templates)

    return edit


def stage(change: Callable[[Stage], Stage]) -> Edit:
    """Change the stage beside its templates."""
    return lambda templates: change(base())


def stacks(**values: Any) -> Edit:
    """Set the same values in all stacks."""
    return stage(
        lambda found: replace(
            found, stacks={name: replace(stack, **values) for name, stack in found.stacks.items()}
        )
    )


def without(stack: str) -> Edit:
    """Remove a stack."""
    return lambda templates: templates.pop(stack) and None


case("nothing", lambda templates: None)

# identity
case("account", stacks(account="222222222222"), ("identity.account", B))
case("region", stacks(region="eu-west-1"), ("identity.region", B))
case("stack name", stacks(stack_name="LoraServing-Other"), ("identity.endpoint", B))
case("stack left", without("Network"), ("identity.stack-left", V))
case("data's stack left", without("AdapterStore"), ("identity.stack-left", V), ("loss.left-behind", B))
case("order of stacks", stacks(dependencies=()), ("identity.order", V))
case(
    "another stack first",
    stacks(dependencies=tuple(sorted(["AdapterStore", "Network", "Observability", "Serving"]))),
    ("form.order", N),
)

# guards
case("protection lifted", stacks(termination_protection=False), ("loss.guard", V))
case(
    "retain off",
    all_of(
        attribute("AdapterStore", BUCKET, DeletionPolicy="Delete", UpdateReplacePolicy="Delete"),
        attribute("AdapterStore", KEY, DeletionPolicy="Delete", UpdateReplacePolicy="Delete"),
        put("AdapterStore", SEEDING, RetainData="false"),
    ),
    ("loss.next-destroy", B),
)
case(
    "only the attribute gone",
    lambda templates: templates["AdapterStore"]["Resources"][BUCKET].pop("DeletionPolicy") and None,
    ("loss.next-destroy", B),
)
case(
    "kept instead of deleted",
    attribute("Observability", TOPIC_KEY, DeletionPolicy="Retain"),
    ("loss.kept", R),
)
case(
    "logs deleted by default",
    lambda templates: (
        templates["AdapterStore"]["Resources"]["ProviderLogsF4611997"].pop("DeletionPolicy") and None
    ),
    ("loss.kept", R),
)
case(
    "policy of a type without data",
    all_of(attribute("Observability", "Email1", DeletionPolicy="Retain")),
    ("loss.kept", R),
)

# bucket
case(
    "bucket's logical id",
    rename("AdapterStore", BUCKET, "Bucket2"),
    ("loss.left-behind", B),
    ("identity.output", V),
    ("form.outputs", N),
    left=("PolicyDocument", "Bucket"),
)
case(
    "bucket removed",
    all_of(attribute("AdapterStore", BUCKET, DeletionPolicy="Retain"), remove("AdapterStore", BUCKET)),
    ("loss.left-behind", B),
)
case("bucket's name", put("AdapterStore", BUCKET, BucketName="other"), ("loss.left-behind", B))
case(
    "s3_managed",
    all_of(
        put(
            "AdapterStore",
            BUCKET,
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                ]
            },
        ),
        remove("AdapterStore", KEY),
    ),
    ("loss.unreadable", B),
)
case(
    "bucket key off",
    lambda templates: (
        templates["AdapterStore"]["Resources"][BUCKET]["Properties"]["BucketEncryption"][
            "ServerSideEncryptionConfiguration"
        ][0].pop("BucketKeyEnabled")
        and None
    ),
    ("loss.key", R),
)
case("encryption left out", put("AdapterStore", BUCKET, BucketEncryption=None), ("loss.unreadable", B))
case("public access", put("AdapterStore", BUCKET, PublicAccessBlockConfiguration=None), ("access.public", B))
case(
    "public policies",
    put(
        "AdapterStore",
        BUCKET,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": False,
            "RestrictPublicBuckets": True,
        },
    ),
    ("access.public", B),
)
case("public ACL", put("AdapterStore", BUCKET, AccessControl="PublicRead"), ("access.public", B))
case(
    "website",
    put("AdapterStore", BUCKET, WebsiteConfiguration={"IndexDocument": "index.html"}),
    ("access.public", B),
)
case(
    "CORS",
    put(
        "AdapterStore",
        BUCKET,
        CorsConfiguration={"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    ),
    ("access.public", B),
)
case("ACLs on", put("AdapterStore", BUCKET, OwnershipControls=None), ("access.guard", V))
case(
    "versioning",
    put("AdapterStore", BUCKET, VersioningConfiguration={"Status": "Suspended"}),
    ("loss.guard", V),
)
case(
    "replication",
    put("AdapterStore", BUCKET, ReplicationConfiguration={"Role": "r"}),
    left=("ReplicationConfiguration",),
)
case(
    "open bucket is new",
    lambda templates: templates["AdapterStore"]["Resources"].update(
        Open={"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    ),
    ("access.public", B),
)
case(
    "bucket is new",
    lambda templates: templates["AdapterStore"]["Resources"].update(More={"Type": "AWS::S3::Bucket"}),
    left=("More",),
)


def lifecycle(change: Callable[[list[dict[str, Any]]], object]) -> Edit:
    """Change the rules of the bucket's lifecycle."""
    return lambda templates: (
        change(
            templates["AdapterStore"]["Resources"][BUCKET]["Properties"]["LifecycleConfiguration"]["Rules"]
        )
        and None
    )


case(
    "revisions expire earlier",
    lifecycle(lambda rules: rules[0].update(ExpirationInDays=1)),
    ("loss.guard", V),
)
case(
    "revisions expire later",
    lifecycle(lambda rules: rules[0].update(ExpirationInDays=365)),
    ("loss.guard", R),
)
case(
    "everything expires",
    lifecycle(lambda rules: rules.append({"ExpirationInDays": 1, "Status": "Enabled"})),
    ("loss.guard", V),
)
case("expiration off", lifecycle(lambda rules: rules[0].update(Status="Disabled")), ("loss.guard", R))
case("other order of rules", lifecycle(lambda rules: rules.reverse()), ("form.lifecycle", N))
case(
    "storage class",
    lifecycle(
        lambda rules: rules[0].update(Transitions=[{"StorageClass": "GLACIER", "TransitionInDays": 1}])
    ),
    ("loss.guard", V),
)

# keys
case("key disabled", put("AdapterStore", KEY, Enabled=False), ("loss.unreadable", B))
case("rotation off", put("AdapterStore", KEY, EnableKeyRotation=False), ("loss.guard", V))
case("rotation later", put("AdapterStore", KEY, RotationPeriodInDays=700), ("loss.guard", R))
case("window longer", put("Observability", TOPIC_KEY, PendingWindowInDays=8), ("loss.guard", R))
case("window shorter than by default", put("AdapterStore", KEY, PendingWindowInDays=7), ("loss.guard", V))
case("window longer by default", put("Observability", TOPIC_KEY, PendingWindowInDays=None), ("loss.guard", R))
case("description of a key", put("AdapterStore", KEY, Description="other"), ("form.description", N))
case("key policy is another rule's", put("AdapterStore", KEY, KeyPolicy={}), left=("KeyPolicy",))
case("key of a bucket removed", remove("AdapterStore", KEY), ("loss.unreadable", B))
case(
    "topic and its key",
    all_of(remove("Observability", TOPIC, TOPIC_KEY)),
    ("alarms.redirected", V),
    ("loss.key", R),
)
case("key under a topic", remove("Observability", TOPIC_KEY), ("loss.unreadable", B))

# logs
case("logs kept shorter", put("Observability", "EndpointLogs", RetentionInDays=7), ("loss.guard", V))
case("logs kept for ever", put("Observability", "EndpointLogs", RetentionInDays=None), ("loss.guard", R))
case("log group renamed", put("Observability", "EndpointLogs", LogGroupName="other"), ("loss.logs", V))
case("log group removed", remove("Network", "FlowLogs"), ("loss.logs", V))
case(
    "log group new",
    lambda templates: templates["Network"]["Resources"].update(More={"Type": "AWS::Logs::LogGroup"}),
    ("loss.logs", R),
)

# alarms
case("alarm removed", remove("Observability", "DiskAlarm"), ("alarms.removed", V))
case(
    "alarm new",
    lambda templates: templates["Observability"]["Resources"].update(
        More={"Type": "AWS::CloudWatch::Alarm", "Properties": {}}
    ),
    ("alarms.added", R),
)
case("alarm silent", put("Observability", "DiskAlarm", AlarmActions=None), ("alarms.silent", V))
case(
    "alarm redirected",
    put("Observability", "DiskAlarm", AlarmActions=["arn:aws:sns:us-east-1:222222222222:other"]),
    ("alarms.redirected", V),
)
case(
    "alarm to more",
    put(
        "Observability",
        "DiskAlarm",
        AlarmActions=[{"Ref": TOPIC}, "arn:aws:sns:us-east-1:222222222222:other"],
    ),
    ("alarms.recipient", V),
)
case(
    "alarm to more of the stage",
    put("Observability", "DiskAlarm", AlarmActions=[{"Ref": TOPIC}, {"Ref": "AlarmTopicKey0C813E5B"}]),
    ("alarms.more", R),
)
case("actions disabled", put("Observability", "DiskAlarm", ActionsEnabled=False), ("alarms.looser", V))
case("threshold up", put("Observability", "DiskAlarm", Threshold=99), ("alarms.looser", V))
case("threshold down", put("Observability", "DiskAlarm", Threshold=50), ("alarms.tighter", R))
case("lower limit down", put("Observability", "DiskFreeAlarm", Threshold=1), ("alarms.looser", V))
case("lower limit up", put("Observability", "DiskFreeAlarm", Threshold=6_000_000_000), ("alarms.tighter", R))
case("guard tighter", put("Observability", "5xxAlarm", Threshold=0.01), ("alarms.tighter", V))
case(
    "guard looser",
    put("Observability", "5xxAlarm", Threshold=0.5, AlarmDescription="50 %"),
    ("alarms.looser", V),
    ("form.description", N),
)
case(
    "missing data are good",
    put("Observability", "NoCapacityAlarm", TreatMissingData="notBreaching"),
    ("alarms.looser", V),
)
case("other periods", put("Observability", "DiskAlarm", Period=300), ("alarms.looser", V))
case("other metric", put("Observability", "DiskAlarm", MetricName="Other"), ("alarms.metric", V))
case("alarm renamed", put("Observability", "DiskAlarm", AlarmName="other"), ("alarms.renamed", R))
case(
    "alarm described otherwise",
    put("Observability", "DiskAlarm", AlarmDescription="other"),
    ("alarms.text", R),
)
case(
    "low sample",
    put("Observability", "DiskAlarm", EvaluateLowSampleCountPercentile="ignore"),
    left=("EvaluateLowSampleCountPercentile",),
)
case("dashboard's lines", put("Observability", "Dashboard", DashboardBody="{}"), ("form.dashboard", N))
case("dashboard removed", remove("Observability", "Dashboard"), ("alarms.dashboard", R))

case(
    "guard renamed, and named by the endpoint still",
    put("Observability", "5xxAlarm", AlarmName="other"),
    ("alarms.renamed", V),
)
case(
    "lifecycle of another form",
    put("AdapterStore", BUCKET, LifecycleConfiguration={"Fn::If": ["x", {}, {}]}),
    ("loss.guard", V),
)
case("no lifecycle", put("AdapterStore", BUCKET, LifecycleConfiguration=None), ("loss.guard", R))
case(
    "days of another form",
    lifecycle(lambda rules: rules[0].update(ExpirationInDays={"Ref": "Days"})),
    ("loss.guard", V),
)
case(
    "group of the instances gone",
    remove("Network", "Instances"),
    ("identity.vpc", B),
)
case(
    "threshold follows autoscaling's target",
    all_of(
        put("Observability", "SaturationAlarm", Threshold=30),
        put(
            "Scaling",
            "Policy",
            TargetTrackingScalingPolicyConfiguration={
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
                },
                "TargetValue": 20,
            },
        ),
    ),
    ("alarms.follows", R),
    left=("TargetTrackingScalingPolicyConfiguration",),
)
case(
    "threshold without its target",
    put("Observability", "SaturationAlarm", Threshold=60),
    ("alarms.looser", V),
)
case(
    "all alarms to another topic",
    all_of(
        remove("Observability", TOPIC),
        *(
            put("Observability", name, AlarmActions=["arn:aws:sns:us-east-1:222222222222:other"])
            for name in ("DiskAlarm", "SeedingAlarm")
        ),
    ),
    ("alarms.redirected", V),
)

# metric filters and notification
case("filter removed", remove("Observability", "EngineDeathsFilter"), ("alarms.blind", V))
case(
    "filter and its alarm",
    remove("Observability", "EngineDeathsFilter", "EngineDiedAlarm"),
    ("alarms.blind", V),
    ("alarms.removed", V),
)
case("pattern", put("Observability", "EngineDeathsFilter", FilterPattern="x"), ("alarms.blind", V))
case("last subscribers", remove("Observability", "Email1", "Email2"), ("alarms.silent", V))
case(
    "first subscriber",
    all_of(remove("Observability", "Email2"), put("Observability", "Email1", Endpoint="lead@example.com")),
    ("alarms.silent", V),
)
case(
    "subscriber new",
    lambda templates: templates["Observability"]["Resources"].update(
        Email3={
            "Type": "AWS::SNS::Subscription",
            "Properties": {"Protocol": "email", "Endpoint": "a@example.com", "TopicArn": {"Ref": TOPIC}},
        }
    ),
    ("alarms.subscriber", R),
)
case(
    "queue subscribes",
    lambda templates: templates["Observability"]["Resources"].update(
        Queue={
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "Protocol": "sqs",
                "Endpoint": "arn:aws:sqs:us-east-1:222222222222:q",
                "TopicArn": {"Ref": TOPIC},
            },
        }
    ),
    ("alarms.subscriber", V),
)
case("topic in clear text", put("Observability", TOPIC, KmsMasterKeyId=None), ("alarms.encryption", V))
case("topic's name", put("Observability", TOPIC, TopicName="other"), ("alarms.redirected", V))

# network
case("cidr", put("Network", "Vpc", CidrBlock="10.9.0.0/16"), ("identity.vpc", B))
case("zone", put("Network", "SubnetsPrivate1598F45DE", AvailabilityZone="us-east-1d"), ("identity.vpc", B))
case("group of the instances", put("Network", "Instances", GroupDescription="other"), ("identity.vpc", B))
case("nat gone", remove("Network", "InternetNat8CF9C74A", "InternetToNat7B101383"), ("access.network", V))
case(
    "route new",
    lambda templates: templates["Network"]["Resources"].update(
        More={"Type": "AWS::EC2::Route", "Properties": {"DestinationIpv6CidrBlock": "::/0"}}
    ),
    ("access.network", V),
)
case("address", put("Network", "InternetAddressA773D30F", PublicIpv4Pool="pool"), ("access.network", V))
case(
    "public addresses",
    put("Network", "SubnetsPrivate1598F45DE", MapPublicIpOnLaunch=True),
    ("access.network", V),
)
case("endpoint gone", remove("Network", "S3"), ("access.network", V))
case("endpoint's policy is another rule's", put("Network", "S3", PolicyDocument={}), left=("PolicyDocument",))
case(
    "rules of a group are another rule's",
    put("Network", "Instances", SecurityGroupEgress=[]),
    left=("SecurityGroupEgress",),
)
case("flow log gone", remove("Network", "FlowLog"), ("alarms.blind", V))
case("flow log of refusals", put("Network", "FlowLog", TrafficType="REJECT"), ("alarms.blind", V))
case(
    "to private",
    remove(
        "Network",
        "InternetGateway1A5600C2",
        "InternetAttachmentD3EA3F2A",
        "InternetPublic46479736",
        "InternetRoutes5035C9E7",
        "InternetPublicRoutesA07E3DE5",
        "InternetOut78D23780",
        "InternetAddressA773D30F",
        "InternetNat8CF9C74A",
        "InternetToNat7B101383",
    ),
    ("access.network", V),
)

# adapters and their seeding
case("engine", put("AdapterStore", SEEDING, Engine="vllm"), ("adapters.judged", V))
case("rank down", put("AdapterStore", SEEDING, MaxAdapterRank=8), ("adapters.judged", V))
case(
    "revision of the base model",
    put("AdapterStore", SEEDING, BaseModelRevision="0" * 40, ModelPrefix="models/x/"),
    ("adapters.judged", R),
    ("model.mirror", R),
)
case("another bucket", put("AdapterStore", SEEDING, Bucket="other"), ("loss.left-behind", B))
case(
    "another function",
    put("AdapterStore", SEEDING, ServiceToken="arn:aws:lambda:us-east-1:222222222222:function:x"),
    ("adapters.seeding", V),
)
case("another Hub", put("AdapterStore", SEEDING, HubEndpoint="https://hub.example.com"), ("supply.hub", V))
case("owner alone", put("AdapterStore", SEEDING, Owner="other"), left=("Owner",))
case(
    "manifest that is not there",
    put("AdapterStore", SEEDING, ManifestKey=f"{'0' * 64}.zip"),
    left=("ManifestKey",),
)

# form
case("metadata", attribute("Serving", "Endpoint", Metadata={"aws:cdk:path": "x"}), ("form.metadata", N))
case(
    "metadata that runs",
    attribute("Serving", "Endpoint", Metadata={"AWS::CloudFormation::Init": {}}),
    left=("Metadata",),
)
case("endpoint waits for alarms", attribute("Serving", "Endpoint", DependsOn=["Model"]), ("form.order", N))
case(
    "model does not wait",
    lambda templates: templates["Serving"]["Resources"]["Model"].pop("DependsOn") and None,
    ("alarms.order", V),
)
case(
    "function does not wait",
    lambda templates: templates["AdapterStore"]["Resources"]["SeederD17DDE2F"].pop("DependsOn") and None,
    ("form.order", N),
)
case(
    "output",
    lambda templates: templates["Observability"]["Outputs"].pop("DashboardUrl") and None,
    ("form.outputs", N),
)
case(
    "output that is read",
    lambda templates: (
        templates["Network"]["Outputs"].pop(
            next(name for name in templates["Network"]["Outputs"] if "Private1" in name)
        )
        and None
    ),
    ("identity.output", V),
)
case("description", lambda templates: templates["Serving"].update(Description="other"), ("form.outputs", N))
case(
    "parameter",
    lambda templates: templates["Serving"]["Parameters"].update(More={"Type": "String"}),
    left=("Parameters/More",),
)
case(
    "rule",
    lambda templates: templates["Serving"].pop("Rules") and None,
    left=("Rules/CheckBootstrapVersion",),
)
case(
    "tags",
    all_of(
        *(put("Observability", name, Tags=[{"Key": "team", "Value": "x"}]) for name in ("DiskAlarm", TOPIC))
    ),
    ("form.tags", R),
)
case("stack tags", stacks(tags={"team": "x"}), ("form.tags", R))
case(
    "a queue is new",
    lambda templates: templates["Serving"]["Resources"].update(Queue={"Type": "AWS::SQS::Queue"}),
    left=("Queue",),
)


RULES = (adapters, alarms, form, identity, loss, network)


@pytest.fixture(scope="module")
def comparisons() -> Mapping[str, StageComparison]:
    return compared({name: each.edit for name, each in CASES.items()})


def findings(change: StageComparison) -> list[ReviewFinding]:
    return [each for rule in RULES for each in rule(change)]


@pytest.mark.parametrize("name", CASES)
def test_an_edit_has_its_findings(name: str, comparisons: Mapping[str, StageComparison]) -> None:
    change, expected = comparisons[name], CASES[name]
    found = findings(change)
    assert {(each.rule, each.level) for each in found} == expected.expected, found
    claimed = {difference for each in found for difference in each.differences}
    left = {each.name or each.subject for each in change.differences if each not in claimed}
    assert left == expected.left
    assert claimed <= set(change.differences)


@pytest.mark.parametrize("name", CASES)
def test_a_finding_is_complete(name: str, comparisons: Mapping[str, StageComparison]) -> None:
    for each in findings(comparisons[name]):
        assert len(each.title) <= 90
        assert each.level <= R or (each.consequence and each.action), each
        assert each.differences
