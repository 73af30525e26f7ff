"""Acknowledged findings of the scanners, with the reason for each.

`constructs` are paths that begin with the stage's name; `*` matches any part of a path. An entry that matches no
finding fails a test, so that obsolete entries are removed.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.policy.scanners import Finding


@dataclass(frozen=True)
class Acknowledged:
    """Findings of one scanner that are accepted, with the reason."""

    scanner: str
    rules: tuple[str, ...]
    constructs: tuple[str, ...]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Return True if the entry covers the finding."""
        return (
            finding.scanner == self.scanner
            and finding.rule in self.rules
            and any(fnmatchcase(finding.construct, construct) for construct in self.constructs)
        )


OUR_FUNCTIONS = ("*/AdapterStore/Seeder/Resource", "*/AdapterStore/SeederWorker/Resource")
CDK_FUNCTIONS = ("*/AdapterStore/Provider/framework-*/Resource",)
WORKERS_POLICY = ("*/AdapterStore/SeederWorker/ServiceRole/DefaultPolicy/Resource",)
EXECUTION_POLICY = ("*/Serving/ExecutionRole/DefaultPolicy/Resource",)


def iam5(*what: str) -> tuple[str, ...]:
    """Return the names of cdk-nag's rule on wildcards for these resources or actions."""
    return tuple(f"AwsSolutions-IAM5[{item}]" for item in what)


ACKNOWLEDGED = (
    Acknowledged(
        "cfn-lint",
        ("W3005",),
        (*OUR_FUNCTIONS, *CDK_FUNCTIONS, "*/AdapterStore/Provider/waiter-state-machine/Resource", "*/Serving/Model"),
        "The CDK's dependency on a role is on its policy, too, which nothing else names; the one on the role "
        "itself comes with it and does no harm.",
    ),
    Acknowledged(
        "cfn-lint",
        ("W3010",),
        ("*/Network/Subnets/Private1", "*/Network/Subnets/Private2"),
        "The stage file names the zones, because the region's first two lack something in that account.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_115",),
        (*OUR_FUNCTIONS, *CDK_FUNCTIONS),
        "They run for one deployment at a time. A reservation is taken from what the account's other functions "
        "may use, and cannot be made where the account has little.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_116",),
        (*OUR_FUNCTIONS, *CDK_FUNCTIONS),
        "They are called by CloudFormation or by the waiting state machine, which see that a call has failed "
        "and end the deployment; a dead letter would be read by nobody.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_117",),
        (*OUR_FUNCTIONS, *CDK_FUNCTIONS),
        "The worker fetches from the Hub on the Internet, the others call nothing but AWS, and none reaches "
        "anything that only a VPC has.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_158",),
        ("*/AdapterStore/*Logs/Resource", "*/Observability/EndpointLogs", "*/Network/FlowLogs"),
        "They say which adapter came from where and which request took how long, no content and no token, and "
        "CloudWatch encrypts them with a key of its own.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_173",),
        CDK_FUNCTIONS,
        "Their variables are the ARNs of the functions and of the state machine that they call.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_370",),
        ("*/Serving/Model",),
        "The container fetches adapters from the bucket while it serves, which network isolation forbids.",
    ),
    Acknowledged(
        "checkov",
        ("CKV_AWS_18",),
        ("*/AdapterStore/Bucket/Resource",),
        "Server access logs need a second bucket in each stage, to which the same rule applies; who has to know "
        "who read an adapter turns on CloudTrail's data events for this bucket, which name the role.",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-S1",),
        ("*/AdapterStore/Bucket/Resource",),
        "The same as checkov's CKV_AWS_18.",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",),
        ("*/AdapterStore/Seeder*/ServiceRole/Resource", "*/AdapterStore/Provider/framework-*/ServiceRole/Resource"),
        "It lets a function write logs and nothing else; the CDK gives it to each function.",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-L1",),
        OUR_FUNCTIONS,
        "The layer's wheels are those of Python 3.13, which Lambda supports; a newer one comes with new wheels.",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-SF1", "AwsSolutions-SF2"),
        ("*/AdapterStore/Provider/waiter-state-machine/Resource",),
        "It is the CDK's and calls one function until that says it is through; that function has a log.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5(
            "Resource::<Seeder.Arn>:*",
            "Resource::<SeederWorker.Arn>:*",
            "Resource::<ProviderframeworkisComplete.Arn>:*",
            "Resource::<ProviderframeworkonTimeout.Arn>:*",
        ),
        (
            "*/AdapterStore/Provider/framework-*/ServiceRole/DefaultPolicy/Resource",
            "*/AdapterStore/Provider/waiter-state-machine/Role/DefaultPolicy/Resource",
        ),
        "The CDK's grant to invoke a function is for all versions of it.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/*"),
        WORKERS_POLICY,
        "Reading the asset with the manifest, whose name changes with it: IAM would know of the new one too late.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5(*(f"Resource::<Bucket.Arn>/{prefix}/*" for prefix in ("adapters", "models", "registry", "seeding"))),
        WORKERS_POLICY,
        "The seeder owns what is below these prefixes: which keys there are is known only when it runs.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::<Bucket.Arn>/*"),
        WORKERS_POLICY,
        "Where the stage does not retain its data, the bucket has to be empty before CloudFormation can delete it.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::<Bucket.Arn>/adapters/*", "Resource::<Bucket.Arn>/registry/*"),
        EXECUTION_POLICY,
        "The endpoint reads what is published while it serves, and nothing else.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5(
            "Resource::<Bucket.Arn>/models/tiny-mistral/<digest>/*",
            "Resource::<Bucket.Arn>/models/mistralai/Mistral-7B-Instruct-v0.1/<commit>/*",
            "Resource::<Bucket.Arn>/models/mistralai/Mistral-7B-Instruct-v0.1/<commit>-with-code/*",
        ),
        EXECUTION_POLICY,
        "A base model is a folder of files.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:/aws/sagemaker/Endpoints/<endpoint>*"),
        EXECUTION_POLICY,
        "SageMaker names the streams of the endpoint's log group.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::<Bucket.Arn>/probes/*", "Resource::<Bucket.Arn>/demand/<endpoint>/*"),
        EXECUTION_POLICY,
        "A probe is named by a revision and the conditions of its record, a list of demand by the instance: both are "
        "known to a running container. It creates probes and replaces none, and lists of its own endpoint only.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::<Bucket.Arn>/captured/*"),
        EXECUTION_POLICY,
        "SageMaker names the objects with what it captured.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::arn:<AWS::Partition>:ec2:<AWS::Region>:<AWS::AccountId>:network-interface/*"),
        EXECUTION_POLICY,
        "SageMaker makes the interfaces, for each instance one, and their ids are not known before; the subnets and "
        "groups that they are made in are named.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5(
            "Resource::arn:<AWS::Partition>:ec2:<AWS::Region>:*:subnet/<id>",
            "Resource::arn:<AWS::Partition>:ec2:<AWS::Region>:*:security-group/<id>",
        ),
        EXECUTION_POLICY,
        "Subnets may be another account's, shared with this one; the id is exact, and there is only one of it.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::*"),
        ("*/Serving/Callers",),
        "sagemaker:CallWithBearerToken, which has no resource and invokes nothing.",
    ),
    Acknowledged(
        "cdk-nag",
        iam5("Resource::*"),
        EXECUTION_POLICY,
        "ecr:GetAuthorizationToken and EC2's Describe actions, which know no resource, PutMetricData, whose namespace "
        "is a condition, and DescribeAlarms, which returns composite alarms only so; their statements have no "
        "other action.",
    ),
)  # fmt: skip
