"""The image of a SageMaker model in ECR: its URI, and the checks of CreateModel.

The messages are SageMaker's:

- https://github.com/aws/amazon-sagemaker-examples/issues/195 for a URI without tag,
- https://github.com/aws-samples/easy-amazon-sagemaker-deployments/issues/4 for an image that does not exist,
- https://github.com/aws/amazon-sagemaker-feedback/issues/180 for a manifest in OCI's format.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import invalid
from laptop_cloud.ministack import ecr

_URI: Final = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com)/"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
#: Label of an image that stands for a process of this machine: the name of an image without a registry, e.g.
#: `localhost/vllm`. So a stage whose image is built and pushed runs where no image can be built or run.
PROCESS_LABEL: Final = "laptop-cloud.process"
#: Docker's format of one image, which SageMaker runs: `docker build` without attestations makes it.
_DOCKER: Final = "application/vnd.docker.distribution.manifest.v2+json"


class EcrImage(NamedTuple):
    """The parts of an image's URI."""

    account: Account
    registry: str
    """The registry's host."""
    repository: str
    reference: str
    """The tag, or the digest if there is one; empty without either."""

    def by_digest(self, digest: str) -> str:
        """Return `registry/repository@digest`."""
        return f"{self.registry}/{self.repository}@{digest}"


def ecr_image(uri: str) -> EcrImage | None:
    """Return the parts of the URI of an image in ECR; None for any other image."""
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    account = Account(found["account"], found["region"])
    return EcrImage(account, found["registry"], found["repository"], found["digest"] or found["tag"] or "")


def process_of(uri: str) -> str | None:
    """Return the local image that an image in ECR stands for, see `PROCESS_LABEL`; None for any other."""
    image = ecr_image(uri)
    if image is None:
        return None
    return ecr.image_labels(image.account, image.repository, image.reference).get(PROCESS_LABEL)


def check_image(uri: str, account: Account) -> None:
    """Raise `ServiceError` for an image in ECR that a model of `account` cannot have."""
    image = ecr_image(uri)
    if image is None:
        return
    if not image.reference:
        raise invalid(f'ECR image "{uri}" is invalid.')
    stored = ecr.find_image(image.account, image.repository, image.reference)
    if stored is None:
        raise invalid(f"Requested image {uri} not found.")
    if image.account != account:
        raise invalid(
            f"the laptop cloud pulls images of the model's own account and region, {account.id} in "
            f"{account.region}: push {uri} there"
        )
    if stored.media_type != _DOCKER:
        raise invalid(
            f"Unsupported manifest media type {stored.media_type} for image {uri}. Ensure that valid "
            "manifest media type is used for specified image."
        )
