"""The Local stage with its image: built and pushed by the CDK CLI, pulled by digest, run as SageMaker runs it.

Every step has its IAM permissions enforced. Each test continues from the state that the previous one leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve import local_stage
from loraserve.cdk import CdkError, cdk
from loraserve.client import EndpointClient, runtime_config
from loraserve.images import laptop
from loraserve.images.stand_in.bases import stand_in_base
from samples.problems import SEED_PROBLEM, check
from stacks.project import ROOT
from tests.harness.working_copy import working_copy
from tests.images.container import TAG, buildah
from tests.images.registry import HOST, push
from tests.local.processes import processes_of

ADAPTERS = ("otter", "heron")
SERVING = ("Local/Serving", "--exclusively", "--require-approval", "never", "--context", "stage=local")
BROKEN = f"localhost/lora-serving-tests/broken:{TAG}"
REPOSITORY = f"{HOST}/cdk-hnb659fds-container-assets-000000000000-us-east-1"


@dataclass
class DeployedImage:
    """The Local stage in a laptop cloud, and a copy of the tree to change its image in."""

    cloud: LaptopCloud
    tree: Path
    assembly: Path
    stored_before: set[str]
    """Names in buildah's own store."""

    @property
    def endpoint(self) -> str:
        return local_stage.outputs(self.cloud)["EndpointName"]

    def described(self) -> Any:
        return self.cloud.client("sagemaker").describe_endpoint(EndpointName=self.endpoint)

    def image(self) -> dict[str, str]:
        """Return the image in `DeployedImages`."""
        [variant] = self.described()["ProductionVariants"]
        [image] = variant["DeployedImages"]
        return dict(image)

    def deploy(self, image: str = "asset", *, root: Path = ROOT) -> None:
        """Deploy the stack of the endpoint alone, of the working copy `root`; raises `CdkError`."""
        registry = self.cloud.url.removeprefix("http://")
        with laptop.cdk_environment(self.cloud.environment, registry) as environment:
            arguments = (*SERVING, "--context", f"local_image={image}")
            cdk("deploy", *arguments, environment=environment, output=self.assembly, root=root)

    def check_answers(self) -> None:
        """Check that base model and adapters answer, each in its own style."""
        runtime = self.cloud.client("sagemaker-runtime", runtime_config(connections=4))
        client = EndpointClient(self.endpoint, runtime)
        assert client.generate(SEED_PROBLEM.prompt, max_new_tokens=8).tokens == 8
        for adapter in ADAPTERS:
            text = client.generate(SEED_PROBLEM.prompt, adapter=adapter, max_new_tokens=64).text
            verdict = check(text, SEED_PROBLEM, adapter)
            assert verdict.right_answer, text
            assert verdict.right_adapter, text

    def containers(self) -> list[dict[str, str]]:
        """Return the environments of the containers' processes."""
        marks = {f"AWS_ENDPOINT_URL={self.cloud.url}", "VARIANT_NAME=AllTraffic"}
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = (process / "environ").read_bytes().decode().split("\0")
                if marks <= set(variables):
                    found.append(dict(variable.partition("=")[::2] for variable in variables))
        return found


def stored_images() -> set[str]:
    """Return the names in buildah's own store, without those of other tests."""
    names = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    return {name for name in names if not name.startswith(("localhost/lora-serving-tests/", "<none>"))}


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a step; `pytest -s` shows them."""
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:6.1f} s {what}")


class Stacks:
    """Prints the time of each stack's first event, which is after the build of its assets."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._seen: set[str] = set()

    def __call__(self, stack: str, _done: int, _total: int, _resource: str) -> None:
        if stack not in self._seen:
            print(f"{time.monotonic() - self._began:6.1f} s {stack} begins")
            self._seen.add(stack)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedImage]:
    """The Local stage, deployed as `make up IMAGES=real` does."""
    folder = tmp_path_factory.mktemp("deployed")
    tree = working_copy(folder / "tree")
    mounts = laptop.engine_mounts()
    with LaptopCloud(folder / "cloud", enforce_iam=True, pull_images=True, mounts=mounts) as cloud:
        with timed("stand-in of the base"):
            stand_in_base("vllm")
        stage = DeployedImage(cloud, tree, folder / "cdk.out", stored_images())
        with timed("cdk bootstrap"):
            local_stage.bootstrap(cloud, stage.assembly)
        with timed("cdk deploy"):
            local_stage.deploy(cloud, stage.assembly, Stacks(), real_images=True)
        yield stage


def test_base_and_adapters_answer_from_the_image(deployed: DeployedImage) -> None:
    deployed.check_answers()
    image = deployed.image()
    assert image["SpecifiedImage"].startswith(f"{REPOSITORY}:")
    found = deployed.cloud.client("ecr").describe_images(repositoryName=REPOSITORY.partition("/")[2])
    [pushed] = found["imageDetails"]
    assert image["ResolvedImage"] == f"{REPOSITORY}@{pushed['imageDigest']}"
    assert image["SpecifiedImage"] == f"{REPOSITORY}:{pushed['imageTags'][0]}"
    assert pushed["imageManifestMediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert deployed.containers()


def test_a_changed_dockerfile_is_an_update_to_another_image(deployed: DeployedImage) -> None:
    before = deployed.image()
    assert not any("TREE" in variables for variables in deployed.containers())
    dockerfile = deployed.tree / "container" / "vllm" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("ENV HOME", "ENV TREE=changed HOME"))
    with timed("update to another image"):
        deployed.deploy(root=deployed.tree)
    after = deployed.image()
    assert before["ResolvedImage"] != after["ResolvedImage"]
    assert {variables.get("TREE") for variables in deployed.containers()} == {"changed"}
    deployed.check_answers()


def test_an_image_that_does_not_start_is_rolled_back(deployed: DeployedImage, tmp_path: Path) -> None:
    before, pid_1 = deployed.image(), deployed.containers()
    container = buildah("from", "scratch")
    buildah("config", "--entrypoint", json.dumps(["python3", "-m", "container.vllm"]), container)
    buildah("commit", "--quiet", "--rm", container, BROKEN)
    try:
        uri = push(deployed.cloud, BROKEN, f"{REPOSITORY}:broken", tmp_path)
    finally:
        buildah("rmi", BROKEN)
    with timed("update that is rolled back"), pytest.raises(CdkError, match="before it was healthy"):
        deployed.deploy(uri)
    described = deployed.described()
    assert described["EndpointStatus"] == "InService"
    assert "python3" in described["FailureReason"]
    assert deployed.image() == before
    assert deployed.containers() == pid_1
    deployed.check_answers()


def test_destroy_leaves_nothing(deployed: DeployedImage) -> None:
    state = deployed.cloud.state
    assert (state / "images" / "storage" / "overlay").is_dir()
    with timed("cdk destroy"):
        local_stage.destroy(deployed.cloud, deployed.assembly, lambda *_: None)
    assert local_stage.outputs(deployed.cloud) == {}
    assert deployed.cloud.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert deployed.containers() == []
    assert [command for command in processes_of(state) if "sandbox" in command] == []
    assert str(state) not in Path("/proc/mounts").read_text()
    # No container in the cloud's store, and no image of the deployment in buildah's own.
    store = ("--root", str(state / "images" / "storage"), "--runroot", str(state / "images" / "run"))
    assert buildah(*store, "containers", "--quiet") == ""
    assert stored_images() <= deployed.stored_before
