"""Access to `ministack`'s ECR without an API. `cloudformation.install` checks the private names."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params


class StoredImage(NamedTuple):
    """An image in a repository."""

    digest: str
    media_type: str
    """The media type of its manifest."""


def install() -> None:
    """Check DescribeRepositories on the repository that it names, as ECR does; `ministack` checks it on `*`.

    The CDK CLI's role for images may describe the bootstrap's repository alone.
    """
    actions: Any = import_module("ministack.core.iam_actions")
    others: Callable[..., str] = actions.extract_resource_arn

    def extract(service: str, method: str, path: str, headers: Params, body: bytes, *more: Any) -> str:
        found = others(service, method, path, headers, body, *more)
        if service != "ecr" or not headers.get("x-amz-target", "").endswith(".DescribeRepositories"):
            return found
        names = json.loads(body or b"{}").get("repositoryNames") or []
        _query, region, account = more
        return Account(account, region).arn("ecr", f"repository/{names[0]}") if len(names) == 1 else found

    actions.extract_resource_arn = extract


def find_image(account: Account, repository: str, reference: str) -> StoredImage | None:
    """Return the image of a tag or a digest; None if the repository or the image does not exist."""
    ecr: Any = import_module("ministack.services.ecr")
    for image in ecr._images.get_scoped(account.id, account.region, repository) or []:
        if reference == image["imageDigest"] or reference in image.get("imageTags", []):
            return StoredImage(image["imageDigest"], image["imageManifestMediaType"])
    return None


def image_labels(account: Account, repository: str, reference: str) -> dict[str, str]:
    """Return the labels in the configuration of an image of one platform; empty without them."""
    ecr: Any = import_module("ministack.services.ecr")
    found = find_image(account, repository, reference)
    if found is None:
        return {}
    manifests = ecr._manifest_blobs.get_scoped(account.id, account.region, repository) or {}
    manifest = json.loads(manifests.get(found.digest) or b"{}")
    config = json.loads(blob(account, repository, manifest.get("config", {}).get("digest")) or b"{}")
    return dict((config.get("config") or {}).get("Labels") or {})


def blob(account: Account, repository: str, digest: str) -> bytes | None:
    """Return a layer or a configuration; None if the repository does not have it."""
    ecr: Any = import_module("ministack.services.ecr")
    blobs = ecr._layer_blobs.get_scoped(account.id, account.region, repository) or {}
    found: bytes | None = blobs.get(digest)
    return found


def put_blob(account: Account, repository: str, digest: str, content: bytes) -> None:
    """Store a layer or a configuration."""
    _put("_layer_blobs", account, repository, digest, content)


def put_manifest(account: Account, repository: str, digest: str, content: bytes) -> None:
    """Let the registry return the manifest of PutImage: `ministack`'s keeps only those it got itself."""
    _put("_manifest_blobs", account, repository, digest, content)


def _put(store: str, account: Account, repository: str, digest: str, content: bytes) -> None:
    ecr: Any = import_module("ministack.services.ecr")
    responses: Any = import_module("ministack.core.responses")

    def scoped() -> None:
        responses.set_request_account_id(account.id)
        responses.set_request_region(account.region)
        getattr(ecr, store).setdefault(repository, {})[digest] = content

    contextvars.copy_context().run(scoped)
