"""Images of ECR: resolved to a digest, and pulled with the execution role.

The store is in the laptop cloud's directory and of buildah's format, so an image gets into it by a pull only.
Sandboxes mount the directories of the layers, each in its own mount namespace. The store has no containers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from laptop_cloud.api.account import Account
from laptop_cloud.api.records import now
from laptop_cloud.containers.credentials import RoleSessions
from laptop_cloud.containers.sandbox import requirements
from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.registry.model_image import EcrImage, ecr_image

_PROGRAM: Final = "buildah"
#: From util-linux, which Debian and Ubuntu always have.
_IN_NAMESPACE: Final = ("unshare", "--mount", "--propagation", "private")
#: Error codes of a missing permission.
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_TAIL_LINES: Final = 5


class ImageUnavailable(Exception):
    """An image that cannot be pulled; the message is the reason."""


class ResolvedImage(NamedTuple):
    """The image of a fleet. Every instance has the same, even if the tag points to another one later."""

    specified: str
    """The model's image."""
    resolved: str
    """`registry/repository@digest`; a local image as specified."""
    at: float
    """The time of the resolution, in seconds since the epoch."""


class PulledImage(NamedTuple):
    """An image in the store."""

    layers: tuple[Path, ...]
    """Directories of the layers as overlayfs takes them, the uppermost first. Never written to."""
    document: Mapping[str, Any]
    """The image's configuration in the OCI image format."""


def check_machine() -> None:
    """Raise `SandboxRefused` unless images can be pulled and run here."""
    requirements.check()
    if shutil.which(_PROGRAM) is None:
        raise SandboxRefused(f"{_PROGRAM} is missing", f"install it: apt-get install {_PROGRAM}")


class ImageStore:
    """A buildah store and the ECR from which it is filled. Safe across threads; every method blocks."""

    def __init__(self, directory: Path, endpoint_url: str, roles: RoleSessions) -> None:
        """`directory` is for the store, `endpoint_url` the laptop cloud's, `roles` pull the images."""
        self._directory = directory
        self._registry = urlsplit(endpoint_url).netloc
        self._roles = roles
        # Two instances that start at once would pull the same layers.
        self._lock = threading.Lock()

    def resolve(self, uri: str, role: str, account: Account) -> ResolvedImage:
        """Return the digest of an image, read with the role.

        SageMaker's API reference says of DeployedImage that a path with a tag "resolves to a path of the form
        registry/repository[@digest]", and not when. Here it is resolved when an endpoint gets a new fleet, by
        CreateEndpoint or UpdateEndpoint.

        Raises:
            ImageUnavailable: the image does not exist, or the role may not read it.
            RoleRefused: SageMaker may not assume the role.
        """
        image = _known(uri)
        kind = "imageDigest" if image.reference.startswith("sha256:") else "imageTag"
        try:
            found = self._roles.client(role, "ecr", account).batch_get_image(
                repositoryName=image.repository, imageIds=[{kind: image.reference}]
            )
        except ClientError as error:
            raise _unavailable(role, uri, error) from error
        if not found["images"]:
            raise ImageUnavailable(f"Requested image {uri} not found.")
        digest = found["images"][0]["imageId"]["imageDigest"]
        return ResolvedImage(uri, image.by_digest(digest), now())

    def pull(self, resolved: ResolvedImage, role: str, account: Account) -> PulledImage:
        """Pull the image by its digest.

        Layers that the store has are not pulled again. The role must be able to read them all the same: a new
        instance of SageMaker has none.

        Raises:
            ImageUnavailable: the role may not pull it, or buildah cannot unpack it.
            RoleRefused: SageMaker may not assume the role.
        """
        token = self.authorize(resolved, role, account)
        try:
            with self._lock:
                return self._pulled(_known(resolved.resolved), token)
        except ImageUnavailable as error:
            raise ImageUnavailable(f"The image '{resolved.specified}' was not pulled: {error}") from error

    def authorize(self, resolved: ResolvedImage, role: str, account: Account) -> str:
        """Return a token of the role, which may pull the image.

        Raises:
            ImageUnavailable: the role may not pull it.
            RoleRefused: SageMaker may not assume the role.
        """
        image = _known(resolved.resolved)
        ecr = self._roles.client(role, "ecr", account)
        try:
            token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
            found = ecr.batch_get_image(
                repositoryName=image.repository, imageIds=[{"imageDigest": image.reference}]
            )
            for stored in found["images"]:
                config = json.loads(stored["imageManifest"])["config"]["digest"]
                ecr.get_download_url_for_layer(repositoryName=image.repository, layerDigest=config)
        except ClientError as error:
            raise _unavailable(role, resolved.specified, error) from error
        return str(token)

    def _pulled(self, image: EcrImage, token: str) -> PulledImage:
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as credentials:
            # A file that only this user can read: arguments of a process are visible to all.
            json.dump({"auths": {self._registry: {"auth": token}}}, credentials)
            credentials.flush()
            source = f"docker://{self._registry}/{image.repository}@{image.reference}"
            options = ("--authfile", credentials.name, "--tls-verify=false", "--retry", "0")
            identity = self._buildah("pull", *options, "--policy", "always", "--quiet", source).strip()
        inspected = json.loads(self._buildah("inspect", "--type", "image", identity))
        return PulledImage(self._layers(identity), inspected["OCIv1"])

    def _layers(self, identity: str) -> tuple[Path, ...]:
        """Return the directories of an image's layers.

        They are where the driver `overlay` of containers/storage keeps them:
        https://github.com/containers/storage/blob/v1.44.0/drivers/overlay/overlay.go.
        """
        storage = self._directory / "storage"
        images = json.loads((storage / "overlay-images" / "images.json").read_text())
        parents = {
            layer["id"]: layer.get("parent")
            for layer in json.loads((storage / "overlay-layers" / "layers.json").read_text())
        }
        layer = next((image["layer"] for image in images if image["id"] == identity), None)
        if layer is None:
            raise ImageUnavailable(f"buildah's store in {storage} lacks the image that it pulled")
        found = []
        while layer:
            found.append(storage / "overlay" / layer / "diff")
            layer = parents[layer]
        return tuple(found)

    def _buildah(self, *arguments: str) -> str:
        """Run buildah on the store; return what it prints.

        In a mount namespace of its process: buildah mounts its store, and a mount would outlive its kill.
        """
        store = ("--root", str(self._directory / "storage"), "--runroot", str(self._directory / "run"))
        done = subprocess.run(
            (*_IN_NAMESPACE, _PROGRAM, *store, "--storage-driver", "overlay", *arguments),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            tail = " ".join(done.stderr.strip().splitlines()[-_TAIL_LINES:])
            raise ImageUnavailable(f"buildah {arguments[0]}: {tail}")
        return done.stdout


def _known(uri: str) -> EcrImage:
    image = ecr_image(uri)
    if image is None:
        raise ImageUnavailable(f"{uri} is not an image in ECR")
    return image


def _unavailable(role: str, uri: str, error: ClientError) -> ImageUnavailable:
    """Return SageMaker's reason, with ECR's.

    https://github.com/aws/deep-learning-containers/issues/759 has SageMaker's for a missing permission.
    """
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", str(error))
    if code in _DENIED:
        return ImageUnavailable(
            f"The role '{role}' does not have {error.operation_name} permission for the image: '{uri}'. "
            f"{message}"
        )
    return ImageUnavailable(f"The image '{uri}' was not pulled: {code}: {message}")
