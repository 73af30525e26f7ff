"""The URI of an image in ECR."""

from __future__ import annotations

import pytest

from laptop_cloud.registry.model_image import ecr_image

HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("rest", "repository", "reference"),
    [
        ("lora:1.2", "lora", "1.2"),
        ("team/lora_serving/vllm:latest", "team/lora_serving/vllm", "latest"),
        (f"lora@{DIGEST}", "lora", DIGEST),
        (f"lora:1.2@{DIGEST}", "lora", DIGEST),
        ("lora", "lora", ""),
    ],
)
def test_a_uri_has_account_region_repository_and_a_tag_or_digest(
    rest: str, repository: str, reference: str
) -> None:
    image = ecr_image(f"{HOST}/{rest}")
    assert image is not None
    assert (image.account, image.registry) == (("111122223333", "eu-west-1"), HOST)
    assert (image.repository, image.reference) == (repository, reference)
    assert image.by_digest(DIGEST) == f"{HOST}/{repository}@{DIGEST}"


@pytest.mark.parametrize(
    "uri",
    [
        "localhost/vllm:laptop",
        "docker.io/vllm/vllm-openai:v0.32.0",
        f"{HOST}",
        f"{HOST}/Upper:1",
        f"x.{HOST}/y:1",
    ],
)
def test_other_images_are_not_in_ecr(uri: str) -> None:
    assert ecr_image(uri) is None
