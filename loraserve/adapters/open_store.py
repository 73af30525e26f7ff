"""Opening the store of a stage: in the laptop cloud, or in AWS with the user's credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.closest import closest
from adapters.store.s3 import S3Client, error_code
from adapters.store.transfer import PARALLEL_PARTS
from loraserve.adapters.stage_store import PARALLEL_REQUESTS, STORE_STACK, StageStore
from loraserve.aws import Client
from loraserve.errors import NotDeployed
from stacks.config.loading import LOCAL_STAGE, load_stage, load_stages
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.config.stage_target import StageTarget
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError, read

_OUTPUT = "AdapterBucket"
_CLIENT = Config(max_pool_connections=PARALLEL_REQUESTS + PARALLEL_PARTS)


def open_store(
    stage: str, bucket: str | None, profile: str | None = None, *, profile_option: str = "AWS_PROFILE"
) -> StageStore:
    """Open the store of a stage, given by its name or its file; `bucket` replaces the bucket of its stack.

    `profile` is that of the AWS CLI, by default the environment's; `profile_option` names what sets it, for
    messages. Raises `ConfigError` or `NotDeployed`.
    """
    loaded = find_stage(stage)
    if loaded.name == LOCAL_STAGE:
        return _in_laptop_cloud(loaded, bucket)
    session = boto3.Session(profile_name=profile, region_name=loaded.config.region)
    check_account(session.client, loaded.target, profile_option)
    s3 = session.client("s3", config=_CLIENT)
    if bucket is not None:
        return StageStore(loaded, s3, _existing(s3, bucket))
    command = "deploy" if loaded.config.promote_from is None else "promote"
    remedy = f"deploy it with 'make {command} STAGE={loaded.name}'"
    return StageStore(
        loaded, s3, deployed_bucket(session.client("cloudformation"), loaded.target, remedy=remedy)
    )


def open_both_stores(
    giving: str, taking: str, giving_profile: str | None, taking_profile: str | None
) -> tuple[StageStore, StageStore]:
    """Open the stores of two stages, each with its profile; raises `ConfigError` or `NotDeployed`."""
    return (
        open_store(giving, None, giving_profile, profile_option="--giving-profile"),
        open_store(taking, None, taking_profile, profile_option="--taking-profile"),
    )


def taking_stage(giving: LoadedStage, name: str | None) -> tuple[str, StageConfig] | None:
    """Return the stage that is promoted from `giving`: the one named, or the only one; None if there is none.

    Its manifest may not exist yet. Raises `ConfigError`.
    """
    files = {path.stem: path for path in sorted(giving.directory.glob("*.yaml"))}
    if name is None:
        takers = [stem for stem, path in files.items() if _promote_from(path) == giving.name]
        if len(takers) > 1:
            raise ConfigError(
                f"{' and '.join(takers)} have promote_from: {giving.name}; name one of them with --for"
            )
        if not takers:
            return None
        [name] = takers
    if name not in files:
        raise ConfigError(f"stage {name!r} is unknown{closest(name, files)}; stages: {', '.join(files)}")
    return name, read(files[name], StageConfig)


def _promote_from(path: Path) -> object:
    """Return a stage file's key, also of a file that is otherwise not valid; None for any other file."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content.get("promote_from") if isinstance(content, dict) else None


def find_stage(stage: str) -> LoadedStage:
    """Load a stage of `stages/`, or a stage file at another path; raises `ConfigError`."""
    if not stage.endswith(".yaml"):
        return load_stages(ROOT / "stages", stage)[0]
    if not Path(stage).is_file():
        raise ConfigError(f"{stage}: there is no such file; name a stage or a stage file")
    return load_stage(Path(stage))


def _in_laptop_cloud(stage: LoadedStage, bucket: str | None) -> StageStore:
    # The laptop cloud's packages are not installed where only AWS is used.
    from loraserve import local_stage  # noqa: PLC0415

    cloud = local_stage.running()
    if cloud is None:
        raise NotDeployed(
            "no laptop cloud is running here: start it with 'make up', or name another stage with --stage"
        )
    s3 = cloud.client("s3", _CLIENT)
    if bucket is not None:
        return StageStore(stage, s3, _existing(s3, bucket))
    outputs = local_stage.outputs(cloud)
    if _OUTPUT not in outputs:
        raise NotDeployed("the laptop cloud has no adapter store: deploy the Local stage with 'make up'")
    return StageStore(stage, s3, outputs[_OUTPUT])


def check_account(client: Client, target: StageTarget, profile_option: str = "AWS_PROFILE") -> None:
    """Raise `NotDeployed` if the stage is in another account than that of the credentials."""
    if target.account is None:
        return
    account = client("sts").get_caller_identity()["Account"]
    if account != target.account:
        raise NotDeployed(
            f"stage {target.name!r} is in account {target.account}, your credentials are of {account}: "
            f"name a profile of {target.account} with {profile_option}"
        )


def deployed_bucket(
    cloudformation: Any, target: StageTarget, *, remedy: str = "deploy that stage first"
) -> str:
    """Return the bucket in the outputs of the stage's stack; raises `NotDeployed` with the `remedy`."""
    stack = target.stack_name(STORE_STACK)
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        # CloudFormation's answer for a stack that does not exist.
        if error_code(error) != "ValidationError":
            raise
        found = []
    for output in (output for stack in found for output in stack.get("Outputs", [])):
        if output["OutputKey"] == _OUTPUT:
            return str(output["OutputValue"])
    raise NotDeployed(f"there is no stack {stack} with an adapter store in {target.region}: {remedy}")


def _existing(s3: S3Client, bucket: str) -> str:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        raise NotDeployed(
            f"bucket {bucket!r}: S3 answers {error_code(error)}; check --bucket, and that your credentials "
            "may read it"
        ) from error
    return bucket
