"""The IAM action of a request to the registry.

Docker's clients speak the registry's HTTP API, ECR checks the permissions of AWS's API:
https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html and image-pull-iam.html list the
actions of a push and of a pull, https://docs.aws.amazon.com/AmazonECR/latest/userguide/logging-using-cloudtrail.html
those that CloudTrail records of them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: Paths of the registry's API. Other services of the one port have paths below /v2/, too.
_PATH: Final = re.compile(
    r"/v2/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)/"
    r"(?P<kind>manifests|blobs/uploads|blobs|tags/list)(?:/(?P<reference>[^/]*))?"
)
_PING: Final = ("/v2", "/v2/")
#: By kind of path, whether it names something, and method.
_ACTIONS: Final = {
    ("manifests", True, "HEAD"): "ecr:BatchGetImage",
    ("manifests", True, "GET"): "ecr:BatchGetImage",
    ("manifests", True, "PUT"): "ecr:PutImage",
    ("blobs", True, "HEAD"): "ecr:BatchCheckLayerAvailability",
    ("blobs", True, "GET"): "ecr:GetDownloadUrlForLayer",
    ("blobs/uploads", False, "POST"): "ecr:InitiateLayerUpload",
    ("blobs/uploads", True, "GET"): "ecr:UploadLayerPart",
    ("blobs/uploads", True, "PATCH"): "ecr:UploadLayerPart",
    ("blobs/uploads", True, "PUT"): "ecr:CompleteLayerUpload",
    ("tags/list", False, "GET"): "ecr:ListImages",
}


class RegistryRequest(NamedTuple):
    """A request to the registry."""

    repository: str
    """The repository; empty for the request that asks whether there is a registry."""
    action: str | None
    """The IAM action on the repository; None for a request that ECR does not have."""


def registry_request(method: str, path: str) -> RegistryRequest | None:
    """Return the registry's request of a method and a path; None for another service's."""
    if path in _PING:
        return RegistryRequest("", None)
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    action = _ACTIONS.get((found["kind"], bool(found["reference"]), method))
    return RegistryRequest(found["repository"], action)
