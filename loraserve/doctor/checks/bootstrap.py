"""CDK's bootstrap stack: there, new enough, and with the bucket and repository that assets go to."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.caller import caller
from loraserve.doctor.deployed import described
from loraserve.doctor.deployment import Deployment, resolved
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_target import StageTarget

#: The CDK CLI's name of the bootstrap stack.
_STACK = "CDKToolkit"


def check(deployment: Deployment, target: StageTarget, client: Client) -> Iterator[Finding]:
    """Compare the version in SSM with the one that the assembly requires, as the CDK CLI does.

    Then look for bucket and repository: they are sometimes deleted by hand, and the version stays.
    """
    name, wanted = deployment.bootstrap_parameter, deployment.bootstrap_version
    remedy = f"`make bootstrap STAGE={target.name}`"
    value = _parameter(client, name)
    if value is None:
        toolkit = described(client("cloudformation"), _STACK)
        state = "" if toolkit is None else f"; the stack {_STACK} is {toolkit['StackStatus']}"
        yield problem("bootstrap", f"{target.region} is not bootstrapped: SSM has no {name}{state}", remedy)
        return
    if int(value) < wanted:
        yield problem("bootstrap", f"version {value}, and the stacks need {wanted}", remedy)
    else:
        yield ok("bootstrap", f"version {value}; the stacks need {wanted}")
    who = caller(client)
    for bucket in deployment.buckets:
        yield _bucket(client, resolved(bucket, who), target)
    for repository in deployment.repositories:
        yield _repository(client, resolved(repository, who), target)


def _parameter(client: Client, name: str) -> str | None:
    try:
        value: str = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error_code(error) != "ParameterNotFound":
            raise
        return None
    return value


def _bucket(client: Client, bucket: str, target: StageTarget) -> Finding:
    title = "bucket of assets"
    try:
        client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        # A HEAD has no body: botocore's code is the status.
        code = error_code(error)
        if code in ("404", "NoSuchBucket"):
            return problem(title, f"{bucket} does not exist", _again(target))
        return unknown(title, f"not checked: HeadBucket of {bucket} answered {code}")
    return ok(title, bucket)


def _repository(client: Client, repository: str, target: StageTarget) -> Finding:
    title = "image repository"
    try:
        client("ecr").describe_repositories(repositoryNames=[repository])
    except ClientError as error:
        code = error_code(error)
        if code == "RepositoryNotFoundException":
            return problem(title, f"{repository} does not exist", _again(target))
        return unknown(title, f"not checked: DescribeRepositories answered {code}")
    return ok(title, repository)


def _again(target: StageTarget) -> str:
    return (
        f"delete the stack {_STACK} (`aws cloudformation delete-stack --stack-name {_STACK} --region "
        f"{target.region}`), then `make bootstrap STAGE={target.name}`"
    )
