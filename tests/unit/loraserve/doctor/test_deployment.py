"""Content of a cloud assembly."""

from loraserve.doctor.caller import Caller
from loraserve.doctor.deployment import Deployment, resolved

CALLER = Caller("123456789012", "arn:aws-cn:iam::123456789012:user/alice")


def test_a_stage_that_builds_its_image(deployments: dict[str, Deployment]) -> None:
    dev = deployments["Dev"]
    assert dev.stacks[0].path == "Dev/AdapterStore"
    assert "LoraServing-Dev-Serving" in [stack.name for stack in dev.stacks]
    assert (dev.bootstrap_parameter, dev.bootstrap_version) == ("/cdk-bootstrap/hnb659fds/version", 6)
    [image] = dev.images
    assert image.platform == "linux/amd64" and image.base.startswith("ghcr.io/predibase/lorax:")
    kinds = {role.split("hnb659fds-")[1].split("-role")[0] for role in dev.roles}
    assert kinds == {"deploy", "file-publishing", "image-publishing"}


def test_a_stage_with_an_existing_image_needs_no_docker(deployments: dict[str, Deployment]) -> None:
    local = deployments["Local"]
    assert local.images == () and local.repositories == ()
    assert not [role for role in local.roles if "image-publishing" in role]


def test_the_account_replaces_cdk_s_placeholder(deployments: dict[str, Deployment]) -> None:
    for stage in deployments.values():
        for text in (*stage.roles, *stage.buckets, *stage.repositories):
            assert "$" not in resolved(text, CALLER)
    assert any(":aws-cn:" in resolved(role, CALLER) for role in deployments["Dev"].roles)
