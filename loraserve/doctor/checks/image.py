"""The image that the stage names, where it is in ECR: there, for x86-64, in a format that SageMaker takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.answers import unanswered
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage

_CHECK = "image"
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<name>[^:@]+)(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
_INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_BUILD = (
    "build it with `docker buildx build --platform linux/amd64 --provenance=false "
    "--output type=image,oci-mediatypes=false,push=true`"
)


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about `image`; none if the stage builds it, or if it is not in ECR."""
    match = _ECR.fullmatch(stage.config.image)
    if match is None:
        if stage.config.image != "asset":
            yield unknown(_CHECK, f"{stage.config.image} is not in ECR: not checked")
        return
    digest, tag = match["digest"], match["tag"]
    # A digest identifies an image; a tag beside it is ignored.
    image_id = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        answer = client("ecr").batch_get_image(
            registryId=match["account"], repositoryName=match["name"], imageIds=[image_id]
        )
    except ClientError as error:
        if error_code(error) == "RepositoryNotFoundException":
            yield problem(
                _CHECK,
                f"account {match['account']} has no repository {match['name']!r} in {match['region']}",
                f"correct image, or push it there (aws ecr create-repository --region {match['region']} "
                f"--repository-name {match['name']})",
            )
        else:
            yield unanswered(_CHECK, "ecr:BatchGetImage", error, stage.config.image)
        return
    if not answer["images"]:
        reasons = ", ".join(failure["failureCode"] for failure in answer["failures"])
        yield problem(
            _CHECK,
            f"{match['name']} has no image {digest or tag or 'latest'} ({reasons})",
            f"list the images (aws ecr describe-images --region {match['region']} "
            f"--registry-id {match['account']} --repository-name {match['name']}), and correct image",
        )
        return
    yield _manifest(stage.config.image, answer["images"][0])


def _manifest(uri: str, image: dict[str, Any]) -> Finding:
    """Check an image's manifest.

    SageMaker's CreateModel has refused OCI manifests ("Unsupported manifest media type",
    aws/amazon-sagemaker-feedback#180, 2025); whether it still does could not be tried.
    """
    manifest = json.loads(image["imageManifest"])
    kind = image.get("imageManifestMediaType") or manifest.get("mediaType", _DOCKER_IMAGE)
    if kind in _INDEXES:
        platforms = [entry.get("platform", {}) for entry in manifest.get("manifests", [])]
        names = sorted({f"{p.get('os')}/{p.get('architecture')}" for p in platforms} - {"unknown/unknown"})
        if "linux/amd64" not in names:
            return problem(_CHECK, f"{uri} is for {', '.join(names)}, not for linux/amd64", _BUILD)
    if kind != _DOCKER_IMAGE:
        return unknown(
            _CHECK,
            f"{uri} is there, as {kind}, which SageMaker has refused (Unsupported manifest media type)",
            f"if it does, {_BUILD}",
        )
    # A manifest of one image does not state its platform.
    return ok(_CHECK, f"{uri} is there")
