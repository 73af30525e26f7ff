"""The image of a promotion: where the stage before and the stage have it, and the check of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from loraserve.aws import Client, assumed_role
from loraserve.errors import UserError
from loraserve.finding import Finding, ok, problem, warning
from loraserve.images.ecr_copy import ImageError, ImageRepository, image_digest
from stacks.config.stage_target import StageTarget
from stacks.deploy_roles.names import pull_role_name

#: Subject of the findings.
CHECK: Final = "image"
#: A layer has hundreds of parts: an outage of seconds must not end its copy.
_CONFIG: Final = {"retries": {"mode": "standard", "total_max_attempts": 8}}


@dataclass(frozen=True)
class AssetImage:
    """A place of an image asset."""

    repository: str
    """Name of the repository, by default that of the account's bootstrap."""
    tag: str


def asset_image(assembly: Path, target: StageTarget, account: str, asset: str) -> AssetImage:
    """Return where an image asset (its hash) belongs, from the asset manifests in a stage's assembly.

    Raises `ImageError` if the assembly does not have the asset.
    """
    for path in sorted(assembly.glob("*.assets.json")):
        images = json.loads(path.read_bytes()).get("dockerImages", {})
        for place in images.get(asset, {}).get("destinations", {}).values():
            # A stage without `account` has placeholders, as @aws-cdk/cdk-assets-lib replaces them.
            name = place["repositoryName"].replace("${AWS::AccountId}", account)
            return AssetImage(name.replace("${AWS::Region}", target.region), place["imageTag"])
    raise ImageError(f"{assembly} has no image asset {asset}: build the release again")


def taking_repository(client: Client, target: StageTarget, account: str, name: str) -> ImageRepository:
    """Return the stage's repository, with the credentials of `client`, which are of `account`."""
    return ImageRepository(client("ecr", Config(region_name=target.region, **_CONFIG)), account, name)


def giving_client(client: Client, giving: StageTarget, taking: StageTarget) -> Client:
    """Return clients in the region of the stage before, for what the taking stage may read of it.

    `client` has the credentials of the stage that takes. In another account the role that the stage before
    has for it is assumed (`stacks.deploy_roles`): it reads images and finds the bucket. Raises `ClientError`
    if that is refused.
    """
    caller = client("sts").get_caller_identity()
    if giving.account not in {None, caller["Account"]}:
        partition = caller["Arn"].split(":")[1]
        role = f"arn:{partition}:iam::{giving.account}:role/{pull_role_name(giving)}"
        return assumed_role(client, role, session=f"lora-serving-{taking.name}", region=giving.region)

    def in_region(service: str, own: Config | None = None) -> Any:
        region = Config(region_name=giving.region)
        return client(service, region if own is None else own.merge(region))

    return in_region


def giving_repository(
    client: Client, giving: StageTarget, taking: StageTarget, account: str, name: str
) -> ImageRepository:
    """Return the repository of the stage before, which is in `account`; see `giving_client`."""
    return ImageRepository(giving_client(client, giving, taking)("ecr", Config(**_CONFIG)), account, name)


def check_image(
    giving: ImageRepository, taking: ImageRepository, *, tag: str, recorded: str | None
) -> Iterator[Finding]:
    """Check that the image can be copied: it is there as it was tested, and its tag is free or has it.

    `recorded` is the digest in the record of the stage before; None if SageMaker did not say it.
    """
    try:
        found = image_digest(giving, tag)
    except (BotoCoreError, ClientError, UserError) as error:
        yield problem(CHECK, f"{giving} cannot be read: {error}", _remedy(error, giving))
        return
    if found is None:
        yield problem(
            CHECK,
            f"{giving} has no image with the tag {tag} any more",
            "promote a release whose image is there: deploy the stage before again, or build a new release",
        )
        return
    if recorded is None:
        yield warning(CHECK, f"the stage before has no record of its image's digest; ECR has {found}")
    elif found != recorded:
        yield problem(
            CHECK,
            f"the tag {tag} has {found} in {giving}, and {recorded} was tested",
            "deploy and verify the stage before again, with this release",
        )
        return
    yield from _check_target(taking, tag, found)


def _check_target(taking: ImageRepository, tag: str, wanted: str) -> Iterator[Finding]:
    try:
        held = image_digest(taking, tag)
    except (BotoCoreError, ClientError, UserError) as error:
        yield problem(CHECK, f"{taking} cannot be read: {error}", _remedy(error, taking))
        return
    if held is None:
        yield ok(CHECK, f"{wanted} is copied to {taking}")
    elif held == wanted:
        yield ok(CHECK, f"{wanted} is in {taking}")
    else:
        yield problem(
            CHECK,
            f"{taking} has the tag {tag} with {held}, not with the tested {wanted}; tags are never moved",
            "if nothing runs from it, delete it: aws ecr batch-delete-image --repository-name "
            f"{taking.name} --image-ids imageTag={tag}",
        )


def _remedy(error: Exception, repository: ImageRepository) -> str:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code == "RepositoryNotFoundException":
        return f"bootstrap the account {repository.account}: make bootstrap STAGE=…"
    if code in {"AccessDenied", "AccessDeniedException"}:
        return f"deploy the roles of account {repository.account}: make roles STAGE=… (docs/pipeline.md)"
    return "check the network, and run the command again"
