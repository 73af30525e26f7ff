"""The lock of the base images, and what a build is given of it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stacks.config.base_images import LOCK, BaseImage, build_argument, lock_text, read_lock
from stacks.project import ROOT
from stacks.serving.image import BuiltImage
from stacks.typed_yaml import ConfigError

DIGEST = f"sha256:{'0' * 64}"
LORAX = BaseImage(repository="ghcr.io/predibase/lorax", tag="0.12.1", digest=DIGEST)


def test_the_committed_lock_is_written_as_the_command_writes_it() -> None:
    assert LOCK.read_text() == lock_text(read_lock())


@pytest.mark.parametrize("engine", ["lorax", "vllm"])
def test_a_build_without_the_argument_starts_from_the_same_tag(engine: str) -> None:
    dockerfile = (ROOT / "container" / engine / "Dockerfile").read_text()
    defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=(.+)$", dockerfile, re.MULTILINE))
    assert defaults == {build_argument(engine): read_lock()[engine].tagged}
    assert f"FROM ${{{build_argument(engine)}}}" in dockerfile


def test_a_reference_has_the_digest_if_there_is_one() -> None:
    assert LORAX.reference == f"ghcr.io/predibase/lorax:0.12.1@{DIGEST}"
    assert LORAX.model_copy(update={"digest": None}).reference == "ghcr.io/predibase/lorax:0.12.1"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"digest": "sha256:12"}, "lorax.digest: 'sha256:12': write sha256: and 64 hexadecimal digits, or null"),
        ({"digest": DIGEST + "\n"}, f"lorax.digest: {DIGEST + chr(10)!r}: write sha256: and 64"),
        ({"tag": "0.12.1 "}, "lorax.tag: '0.12.1 ': write a tag such as 1.2.3"),
        ({"tag": ""}, "lorax.tag: "),
        ({"repository": "predibase/lorax"}, "lorax.repository: 'predibase/lorax': write registry and name, as in ghcr.io/org/name"),
        ({"repository": "ghcr.io"}, "lorax.repository: "),
        ({"repository": "https://ghcr.io/a/b"}, "lorax.repository: "),
        ({"repository": "ghcr.io/Org/name"}, "lorax.repository: "),
        ({"sha": ""}, "lorax.sha: unknown key; valid: repository, tag, digest"),
    ],
)  # fmt: skip
def test_what_docker_would_not_understand_is_refused(
    tmp_path: Path, change: dict[str, str], told: str
) -> None:
    content = json.loads(LOCK.read_text())
    content["lorax"] |= change
    path = tmp_path / "images.lock"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{path}: {told}')}"):
        read_lock(path)


@pytest.mark.parametrize(
    ("tag", "is_refused"),
    [
        ("v0.22.0", False), ("v0.22.1", True), ("0.23.0", True), ("v0.23.1rc1", True), ("v0.24.0-cu129", True),
        ("v0.24", True), ("v0.25.0", False), ("v0.32.0", False), ("v0.2.4", False), ("v0.240.0", False),
    ],
)  # fmt: skip
def test_releases_of_vllm_that_mix_adapters_up_are_refused(
    tmp_path: Path, tag: str, is_refused: bool
) -> None:
    content = json.loads(LOCK.read_text())
    content["vllm"]["tag"] = tag
    path = tmp_path / "images.lock"
    path.write_text(json.dumps(content))
    if not is_refused:
        assert read_lock(path)["vllm"].tag == tag
        return
    with pytest.raises(ConfigError, match=r"another adapter's weights: take another one, such as 0\.32\.0"):
        read_lock(path)


@pytest.mark.parametrize("repository", ["localhost/a", "127.0.0.1:5000/a/b", "docker.io/vllm/vllm-openai",
                                        "123456789012.dkr.ecr.us-east-1.amazonaws.com/mirror/lorax"])  # fmt: skip
def test_repositories_of_other_registries_are_fine(repository: str) -> None:
    assert BaseImage(repository=repository, tag="1", digest=None).reference == f"{repository}:1"


def test_a_lock_that_is_missing_or_not_complete_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory: bring it back with git"):
        read_lock(tmp_path / "images.lock")
    (tmp_path / "images.lock").write_text(
        '{"lorax": {"repository": "ghcr.io/a/b", "tag": "1", "digest": null}}'
    )
    with pytest.raises(ConfigError, match="vllm: missing"):
        read_lock(tmp_path / "images.lock")
    (tmp_path / "images.lock").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"images.lock: it is not UTF-8 in line 1; bring it back with git$"):
        read_lock(tmp_path / "images.lock")
    (tmp_path / "images.lock").write_text(LOCK.read_text().replace('"vllm"', '"lorax"'))
    with pytest.raises(
        ConfigError, match=r"images.lock: line \d+: 'lorax' is there twice, first in line 2; "
    ):
        read_lock(tmp_path / "images.lock")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stacks.config.base_images", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_build_by_hand_gets_the_reference() -> None:
    assert run("vllm").stdout.splitlines() == [read_lock()["vllm"].reference]
    done = run("tgi")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m stacks.config.base_images lorax|vllm\n"


def built(folder: Path, base: BaseImage) -> tuple[dict[str, Any], list[str]]:
    """Return the image's build options for the CDK CLI, and the warnings of the synth."""
    app = cdk.App(outdir=str(folder))
    stack = cdk.Stack(app, "Stack")
    BuiltImage(stack, "Image", engine="lorax", base=base)
    app.synth()
    (image,) = json.loads((folder / "Stack.assets.json").read_text())["dockerImages"].values()
    told = json.loads((folder / "Stack.metadata.json").read_text()).get("/Stack/Image", [])
    return image["source"], [entry["data"] for entry in told if entry["type"] == "aws:cdk:warning"]


def test_a_deployment_builds_from_the_digest_that_is_locked(tmp_path: Path) -> None:
    source, warnings = built(tmp_path, LORAX)
    assert source["dockerBuildArgs"] == {"LORAX_IMAGE": LORAX.reference}
    # A manifest that SageMaker takes, whatever Docker's image store makes by default.
    assert source["dockerOutputs"] == ["type=docker,oci-mediatypes=false"]
    assert warnings == []


def test_a_build_from_a_tag_is_warned_of_and_another_asset(tmp_path: Path) -> None:
    source, (warning,) = built(tmp_path / "tag", LORAX.model_copy(update={"digest": None}))
    assert source["dockerBuildArgs"] == {"LORAX_IMAGE": "ghcr.io/predibase/lorax:0.12.1"}
    assert "from the tag ghcr.io/predibase/lorax:0.12.1" in warning
    assert "run make pin-images" in warning
    assert source["directory"] != built(tmp_path / "digest", LORAX)[0]["directory"]
