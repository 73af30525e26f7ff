"""A repository whose stages dev, staging and prod are in three accounts of a laptop cloud, and its commands.

The stages have the sample base model, six sample adapters and `image: asset`. The CDK CLI builds with
`tests.harness.tiny_docker`, whose images stand for the container with an engine that answers without computing.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.null_engine import install_as_vllm
from laptop_cloud.cloud import Cloud, LaptopCloud
from loraserve.cdk import cdk
from stacks.config.loading import load_stage
from stacks.config.pipeline_config import ISSUER, PipelineConfig
from stacks.config.stage_target import StageTarget
from stacks.deploy_roles.deploy_roles_stack import AUDIENCE, STACK_NAME
from stacks.deploy_roles.names import deploy_role_name
from stacks.project import ROOT
from tests.harness.roles import REPOSITORY, role_templates
from tests.harness.tiny_docker import BUILDS
from tests.harness.working_copy import working_copy

#: The account of each stage, in the order of promotion.
ACCOUNTS = {"dev": "111111111111", "staging": "222222222222", "prod": "333333333333"}
REGION = "us-east-1"
INSTANCE_TYPE = "ml.g5.xlarge"
ADAPTERS = ("otter", "heron", "badger", "falcon", "lynx", "marten")
#: Findings of the review that a first deployment and the change of a lock have.
ACCEPTED = ("access", "adapters", "capacity", "cost", "identity")
#: The local image that the stages' images stand for.
NULL_IMAGE = "localhost/null"
#: The digest of a base image that is pinned; nothing pulls it.
_BASE_DIGEST = "sha256:" + "5" * 64
#: What the CDK CLI passes to its template if it is not given other values.
_BOOTSTRAP = {
    "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
    "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
}
_LONGEST_COMMAND_S = 280


class CommandFailed(AssertionError):
    """A command that ended with another status than expected; the message has its output."""


@dataclass(frozen=True)
class Promotion:
    """The repository, its laptop cloud, and the folder of the images' program."""

    cloud: Cloud
    clone: Path
    folder: Path

    def target(self, stage: str) -> StageTarget:
        """Account, region and names of a stage."""
        return StageTarget(name=stage, account=ACCOUNTS[stage], region=REGION)

    def client(self, stage: str, service: str) -> Any:
        """Return a client with the credentials of the root of a stage's account."""
        return self.cloud.client(service, account=ACCOUNTS[stage])

    def credentials(self, stage: str) -> dict[str, str]:
        """Return the variables of a job in a stage's environment: a session of its role that deploys."""
        claims = {
            "iss": f"https://{ISSUER}",
            "aud": AUDIENCE,
            "sub": f"repo:{REPOSITORY}:environment:{stage}",
        }
        token = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        given = self.cloud.client("sts").assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNTS[stage]}:role/{deploy_role_name(self.target(stage))}",
            RoleSessionName="run",
            WebIdentityToken=f"e30.{token}.c2ln",
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def environment(self, stage: str, **variables: str) -> dict[str, str]:
        """Return the environment of a job in a stage's environment."""
        return {
            **self.cloud.environment_of(ACCOUNTS[stage]),
            **self.credentials(stage),
            "PYTHONPATH": str(self.clone),
            "CDK_DOCKER": str(self.folder / "docker"),
            "TINY_DOCKER": str(self.folder),
            "TINY_DOCKER_PROCESS": NULL_IMAGE,
            "TINY_DOCKER_REGISTRY": self.cloud.url.removeprefix("http://"),
            **({} if stage == "dev" else {"TINY_DOCKER_REFUSES": "no build after the first stage"}),
            # A Hub that does not exist: what a stage gets comes from this repository or the stage before.
            "HF_ENDPOINT": "http://127.0.0.1:9",
            **variables,
        }

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `python -m loraserve ARGUMENTS`."""
        return [sys.executable, "-m", "loraserve", *arguments]

    def run(self, stage: str, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run `loraserve ARGUMENTS` as a job of a stage; return what it prints.

        Raises `CommandFailed` if its exit status is another one.
        """
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.clone,
            env=self.environment(stage, **variables),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_COMMAND_S,
        )
        if done.returncode != status:
            said = f"loraserve {shlex.join(arguments)} ended with {done.returncode}, not {status}:"
            raise CommandFailed(f"{said}\n{done.stdout}")
        return done.stdout

    def prepare_accounts(self) -> None:
        """Bootstrap each account with the CDK CLI's template; give it a quota and the pipeline's roles."""
        template = cdk(
            "bootstrap",
            "--show-template",
            environment=self.cloud.environment,
            output=self.folder / "cdk.out",
        )
        for stage, account in ACCOUNTS.items():
            self._create_stack(stage, "CDKToolkit", template, _BOOTSTRAP)
            self.cloud.grant_quota(f"{INSTANCE_TYPE} for endpoint usage", 20, account=account)
        self._add_roles()

    def _add_roles(self) -> None:
        """Create the pipeline's roles from the templates of `make roles`, and GitHub's OIDC provider."""
        stages = [load_stage(self.clone / "stages" / f"{stage}.yaml") for stage in ACCOUNTS]
        providers = [f"arn:aws:iam::{account}:oidc-provider/{ISSUER}" for account in ACCOUNTS.values()]
        pipeline = PipelineConfig(repository=REPOSITORY, existing_providers=providers)
        templates = role_templates(self.folder / "roles", pipeline, stages)
        for stage, account in ACCOUNTS.items():
            # The laptop cloud's CloudFormation has no type for it.
            self.client(stage, "iam").create_open_id_connect_provider(
                Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE]
            )
            self._create_stack(stage, STACK_NAME, json.dumps(templates[account]), {})

    def _create_stack(self, stage: str, name: str, template: str, parameters: Mapping[str, str]) -> None:
        cloudformation = self.client(stage, "cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": parameters[key]} for key in parameters],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1})

    def edit(self, stage: str, **keys: Any) -> None:
        """Replace keys of a stage file."""
        path = self.clone / "stages" / f"{stage}.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))

    def commit(self, message: str) -> None:
        """Commit every change of the repository."""
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
        for arguments in (["add", "--all"], ["commit", "--quiet", "--message", message]):
            subprocess.run([*git, *arguments], cwd=self.clone, check=True)

    def lock(self, giving: str, taking: str) -> None:
        """Lock the adapters that a stage serves for the next one, and commit the lock."""
        path = f"stages/adapters/{taking}.lock.yaml"
        self.run(giving, "adapters", "lock", "--from", giving, "--out", path)
        stack = self.target(giving).stack_name("AdapterStore")
        resources = self.client(giving, "cloudformation").describe_stack_resources(StackName=stack)
        [key] = [
            resource["PhysicalResourceId"]
            for resource in resources["StackResources"]
            if resource["ResourceType"] == "AWS::KMS::Key"
        ]
        self.edit(taking, decrypt_keys=[f"arn:aws:kms:{REGION}:{ACCOUNTS[giving]}:key/{key}"])
        self.commit(f"Adapters of {taking}: as {giving} serves them")

    def release(self, name: str) -> Path:
        """Build the release of the last commit; return its folder."""
        folder = self.folder / "releases" / name
        self.run("dev", "release", "build", "--output", str(folder))
        return folder

    def promotion_of(self, stage: str, release: Path) -> list[str]:
        """Return the arguments with which a stage gets a release at once, its review accepted."""
        accepted = [word for category in ACCEPTED for word in ("--accept", category)]
        return ["promote", stage, "--release", str(release), "--soak", "0", "--bake", "0", *accepted]

    def promote(self, stage: str, release: Path) -> str:
        """Promote a release to a stage; return what the command prints."""
        return self.run(stage, *self.promotion_of(stage, release))

    def builds(self) -> list[str]:
        """Return the images that were built, one a build."""
        path = self.folder / BUILDS
        return path.read_text().splitlines() if path.exists() else []

    def outputs(self, stage: str) -> dict[str, str]:
        """Return the outputs of a stage's stacks."""
        stacks = self.client(stage, "cloudformation").describe_stacks()["Stacks"]
        return {
            output["OutputKey"]: output["OutputValue"]
            for stack in stacks
            if stack["StackName"].startswith(self.target(stage).stack_name(""))
            for output in stack.get("Outputs", [])
        }

    def image_digest(self, stage: str) -> str:
        """Return the digest of the image that a stage serves with."""
        endpoint = self.target(stage).endpoint_name
        described = self.client(stage, "sagemaker").describe_endpoint(EndpointName=endpoint)
        [image] = described["ProductionVariants"][0]["DeployedImages"]
        return str(image["ResolvedImage"].partition("@")[2])


@contextmanager
def promotion(folder: Path, *, enforce_iam: bool = True, with_vllm: bool = False) -> Iterator[Promotion]:
    """Make the repository below `folder` and run its laptop cloud; the accounts are not bootstrapped."""
    container = [sys.executable, "-m", "container.vllm", "serve"]
    if not with_vllm:
        engine = folder / "engine"
        install_as_vllm(engine)
        container = ["env", f"PYTHONPATH={engine}", *container]
    images: Mapping[str, list[str]] = {NULL_IMAGE: container}
    clone = working_copy(folder / "clone")
    with LaptopCloud(folder / "laptop", images=images, enforce_iam=enforce_iam) as cloud:
        made = Promotion(cloud, clone, folder)
        _write_stages(made)
        made.commit("Stages in three accounts")
        program = folder / "docker"
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.harness.tiny_docker "$@"\n'
        )
        program.chmod(0o755)
        yield made


def _write_stages(made: Promotion) -> None:
    stages = made.clone / "stages"
    local = yaml.safe_load((stages / "local.yaml").read_text())
    adapters = [{"name": name, "source": f"../../samples/adapters/{name}"} for name in ADAPTERS]
    (stages / "adapters" / "dev.yaml").write_text(yaml.safe_dump({"adapters": adapters}))
    for stage in ("staging", "prod"):
        (stages / "adapters" / f"{stage}.lock.yaml").write_text(yaml.safe_dump({"adapters": []}))
    shared = local | {
        "image": "asset",
        "retain_data": True,
        # The verification waits for a metric.
        "gateway": {**local["gateway"], "metrics_seconds": 2},
        "rollout": {"bake_seconds": 1, "step_seconds": 1},
    }
    own: dict[str, dict[str, Any]] = {
        "dev": {"adapters": "adapters/dev.yaml", "store_readers": [ACCOUNTS["staging"]]},
        "staging": {
            "promote_from": "dev",
            "adapters": "adapters/staging.lock.yaml",
            "adapters_locked": True,
            "store_readers": [ACCOUNTS["prod"]],
        },
        "prod": {
            "promote_from": "staging",
            "adapters": "adapters/prod.lock.yaml",
            "adapters_locked": True,
            "termination_protection": True,
            "endpoint": {"instance_count": 2},
            "autoscaling": {"target": 50, "min_instances": 2, "max_instances": 4},
        },
    }
    for stage, keys in own.items():
        (stages / f"{stage}.yaml").write_text(yaml.safe_dump(shared | {"account": ACCOUNTS[stage]} | keys))
    lock = made.clone / "container" / "images.lock"
    lock.write_text(lock.read_text().replace("null", f'"{_BASE_DIGEST}"'))
