"""The container image: built from container/<engine>/Dockerfile, or a given URI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.config.base_images import BaseImage, build_argument, read_lock
from stacks.project import DOCKER_MANIFEST, ROOT

_ECR_URI = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)[:@].+$"
)


class Image(Protocol):
    """An image of a SageMaker model."""

    @property
    def uri(self) -> str:
        """Value of the model's `Image` property."""

    @property
    def asset_hash(self) -> str | None:
        """Hash of the image asset; None for a given URI."""

    def grant_pull(self, role: iam.IRole) -> None:
        """Allow the model's execution role to pull it."""


class BuiltImage(Construct):
    """An image asset: `cdk deploy` builds it and pushes it to the bootstrap's ECR repository."""

    def __init__(self, scope: Construct, construct_id: str, *, engine: str, base: BaseImage) -> None:
        """Build `container/<engine>/Dockerfile` from `base`."""
        super().__init__(scope, construct_id)
        if base.digest is None:
            cdk.Annotations.of(self).add_warning_v2(
                "lora-serving:unpinned-image",
                f"built from the tag {base.tagged}, which may move until then: run make pin-images",
            )
        self._asset = ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(ROOT),
            file=f"container/{engine}/Dockerfile",
            build_args={build_argument(engine): base.reference},
            exclude=_ignored(engine),
            ignore_mode=cdk.IgnoreMode.DOCKER,
            # ml.g5 is x86-64: an image built on an arm64 laptop without this would not start there.
            platform=ecr_assets.Platform.LINUX_AMD64,
            outputs=[DOCKER_MANIFEST],
            display_name=f"lora-serving-{engine}",
        )

    @property
    def uri(self) -> str:
        """The image's URI in the bootstrap's repository."""
        return self._asset.image_uri

    @property
    def asset_hash(self) -> str | None:
        """The hash of the build context."""
        return self._asset.asset_hash

    def grant_pull(self, role: iam.IRole) -> None:
        """Allow the role to pull from the bootstrap's repository."""
        self._asset.repository.grant_pull(role)


@dataclass(frozen=True)
class GivenImage:
    """An existing image; only one in ECR needs a grant."""

    scope: Construct
    uri: str
    asset_hash: str | None = None

    def grant_pull(self, role: iam.IRole) -> None:
        """Allow the role to pull from the repository that the URI names."""
        match = _ECR_URI.fullmatch(self.uri)
        if match is not None:
            partition = cdk.Stack.of(self.scope).partition
            arn = f"arn:{partition}:ecr:{match['region']}:{match['account']}:repository/{match['name']}"
            ecr.Repository.from_repository_attributes(
                self.scope, "GivenRepository", repository_arn=arn, repository_name=match["name"]
            ).grant_pull(role)


def _ignored(engine: str) -> list[str]:
    """Return the exclude patterns of the engine's build, which the builders read from the same file."""
    lines = (ROOT / "container" / engine / "Dockerfile.dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def container_image(scope: Construct, *, image: str, engine: str) -> Image:
    """Make the image of a stage's `image` setting: `asset`, or a URI."""
    if image == "asset":
        return BuiltImage(scope, "Image", engine=engine, base=read_lock()[engine])
    return GivenImage(scope, image)
