"""The IAM action of each request to the registry."""

from __future__ import annotations

import pytest

from laptop_cloud.registry.actions import registry_request

DIGEST = f"sha256:{'0' * 64}"
ACTIONS = [
    ("GET", "manifests/latest", "ecr:BatchGetImage"),
    ("HEAD", f"manifests/{DIGEST}", "ecr:BatchGetImage"),
    ("PUT", "manifests/latest", "ecr:PutImage"),
    ("DELETE", f"manifests/{DIGEST}", None),
    ("HEAD", f"blobs/{DIGEST}", "ecr:BatchCheckLayerAvailability"),
    ("GET", f"blobs/{DIGEST}", "ecr:GetDownloadUrlForLayer"),
    ("DELETE", f"blobs/{DIGEST}", None),
    ("POST", "blobs/uploads/", "ecr:InitiateLayerUpload"),
    ("PATCH", "blobs/uploads/5f0b", "ecr:UploadLayerPart"),
    ("PUT", "blobs/uploads/5f0b", "ecr:CompleteLayerUpload"),
    ("GET", "tags/list", "ecr:ListImages"),
]


@pytest.mark.parametrize("repository", ["small", "team/lora-serving/vllm", "blobs/manifests"])
@pytest.mark.parametrize(("method", "path", "action"), ACTIONS)
def test_a_request_needs_the_action_of_ecrs_api(
    repository: str, method: str, path: str, action: str | None
) -> None:
    assert registry_request(method, f"/v2/{repository}/{path}") == (repository, action)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_question_for_a_registry_needs_a_token_alone(path: str) -> None:
    assert registry_request("GET", path) == ("", None)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/apis",
        "/v2/apis/abc/routes",
        "/v2/email/configuration-sets",
        "/v2/tags/arn:aws:apigateway:us-east-1::/apis/x",
        "/v2/credentials/5f0b",
        "/v2/../manifests/x",
        "/bucket/v2/x/manifests/y",
    ],
)
def test_other_services_have_paths_below_v2_too(path: str) -> None:
    assert registry_request("GET", path) is None
