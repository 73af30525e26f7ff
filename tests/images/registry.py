"""Small images in a laptop cloud's ECR, pushed by buildah with a token of the account's root."""

from __future__ import annotations

import json
from pathlib import Path

from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION
from laptop_cloud.cloud import LaptopCloud
from tests.images.container import TAG, buildah
from tests.images.small_image import IMAGE, small_layers

HOST = f"{DEFAULT_ACCOUNT}.dkr.ecr.{DEFAULT_REGION}.amazonaws.com"
REPOSITORY = "small"
ARN = f"arn:aws:ecr:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}:repository/{REPOSITORY}"


class SmallImages:
    """Images of `small_image.py`, which differ in the file /etc/version."""

    def __init__(self, cloud: LaptopCloud, folder: Path, *, repository: str = REPOSITORY) -> None:
        """Make the repository."""
        self._cloud, self._folder, self._repository = cloud, folder, repository
        self._names: list[str] = []
        cloud.client("ecr").create_repository(repositoryName=repository)

    def push(self, version: str, tag: str, *, kind: str = "v2s2") -> str:
        """Build the image of a version and push it as `tag`; return the image's URI."""
        layers = small_layers(self._folder / version)
        container = buildah("from", "scratch")
        for layer in reversed(layers):
            buildah("add", "--quiet", container, str(layer), "/")
        version_file = self._folder / version / "version"
        version_file.write_text(version)
        buildah("add", "--quiet", container, str(version_file), "/etc/version")
        entrypoint = json.dumps(IMAGE.entrypoint)
        variables = [word for name, value in IMAGE.env.items() for word in ("--env", f"{name}={value}")]
        options = ("--entrypoint", entrypoint, "--workingdir", IMAGE.working_dir, *variables)
        buildah("config", *options, container)
        name = f"localhost/lora-serving-tests/small:{TAG}-{version}-{tag}"
        buildah("commit", "--quiet", "--rm", container, name)
        self._names.append(name)
        return push(self._cloud, name, f"{HOST}/{self._repository}:{tag}", self._folder, kind=kind)

    def remove(self) -> None:
        """Remove the images from buildah's own store."""
        if self._names:
            buildah("rmi", "--force", *self._names)


def push(cloud: LaptopCloud, image: str, uri: str, folder: Path, *, kind: str = "v2s2") -> str:
    """Push an image of buildah's own store to the laptop cloud's ECR as `uri`; return that."""
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    registry = cloud.url.removeprefix("http://")
    credentials = folder / "auth.json"
    credentials.write_text(json.dumps({"auths": {registry: {"auth": token}}}))
    options = ("--authfile", str(credentials), "--tls-verify=false", "--format", kind)
    buildah("push", "--quiet", *options, image, f"docker://{uri.replace(HOST, registry)}")
    return uri
