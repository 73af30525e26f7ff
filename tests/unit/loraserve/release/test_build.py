"""A release, built twice from one commit in two clones, and opened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loraserve.finding import State
from loraserve.release.archive import pack, sha256, unpack
from loraserve.release.cdk_cli import check_cdk_cli
from loraserve.release.opened import OpenedRelease, open_release
from loraserve.release.release import Release, ReleaseError
from loraserve.release.sameness import SettingDifference, differences_between, stage_differences
from stacks.facts import PackedAdapterFacts, StageFacts
from tests.harness.working_copy import ENVIRONMENT, working_copy
from tests.unit.loraserve.review.repository import git

DIGEST = "sha256:" + "1" * 64
#: Two stages of the shipped files, the second of them protected.
STAGES = {
    "staging": {"account": "222222222222", "promote_from": None},
    "prod": {"account": "333333333333", "promote_from": "staging"},
}


def build(clone: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loraserve", "release", "build", *arguments],
        cwd=clone, env=ENVIRONMENT, capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy with two stages that can be released, beside one of no promotion."""
    folder = working_copy(tmp_path_factory.mktemp("clone") / "clone")
    for path in (folder / "stages").glob("*.yaml"):
        if path.stem not in STAGES:
            path.unlink()
            continue
        keys = yaml.safe_load(path.read_text()) | STAGES[path.stem]
        keys |= {"adapters": "adapters/none.yaml", "adapters_locked": False}
        path.write_text(yaml.safe_dump({key: value for key, value in keys.items() if value is not None}))
    (folder / "stages/adapters/none.yaml").write_text("adapters: []\n")
    lock = folder / "container/images.lock"
    lock.write_text(lock.read_text().replace("null", f'"{DIGEST}"'))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "stages of a release")
    return folder


@pytest.fixture(scope="module")
def built(clone: Path) -> Path:
    """The folder of the release."""
    done = build(clone)
    assert done.returncode == 0, done.stderr
    for part in ("222222222222", "333333333333", "after", sha256(clone / "out/release/release.tar")):
        assert part in done.stdout
    return clone / "out/release"


@pytest.fixture(scope="module")
def opened(built: Path) -> Iterator[OpenedRelease]:
    with open_release(built / "release.tar") as found:
        yield found


def test_another_clone_builds_the_same_bytes(clone: Path, built: Path, tmp_path: Path) -> None:
    other = tmp_path / "another-place" / "clone"
    other.parent.mkdir()
    git(tmp_path, "clone", "--quiet", str(clone), str(other))
    assert (other / ".venv").is_symlink()
    (other / "container" / ".DS_Store").write_text("ignored by everyone's git, and in no release")
    (other / ".git/info/exclude").write_text(".DS_Store\n")
    (other / "log.txt").write_text("of the pipeline")
    done = build(
        other, "--output", str(tmp_path / "release"), "--previous", str(built), "--json", umask=0o077
    )
    assert done.returncode == 0, done.stderr
    document = Release.model_validate_json(done.stdout)
    first = Release.model_validate_json((built / "release.json").read_bytes())
    assert document == first
    assert document.tar_sha256 == sha256(tmp_path / "release/release.tar")
    review = json.loads((tmp_path / "release/review.json").read_text())
    assert {stage["verdict"] for stage in review["stages"]} == {"NOTHING"}
    assert "no stage changes" in (tmp_path / "release/review.md").read_text()


def test_the_description_is_of_the_stages(clone: Path, built: Path) -> None:
    document = Release.model_validate_json((built / "release.json").read_bytes())
    assert document.commit == git(clone, "rev-parse", "HEAD")
    assert document.release.endswith(document.commit[:7])
    assert list(document.stages) == ["staging", "prod"]
    assert list(document.versions) == sorted(document.versions)
    prod = document.stage("prod")
    assert (prod.account, prod.promote_from, prod.is_protected) == ("333333333333", "staging", True)
    assert prod.image.base_digest == DIGEST
    assert prod.image.asset in prod.assets
    assert prod.image.asset == document.stage("staging").image.asset
    assert [stack.name for stack in prod.stacks] == ["AdapterStore", "Observability", "Serving", "Scaling"]
    assert not any("not pinned" in warning for warning in prod.warnings)
    with pytest.raises(ReleaseError, match="no stage 'dev', it has staging, prod"):
        document.stage("dev")


def test_what_is_opened_can_be_deployed(opened: OpenedRelease) -> None:
    assert [finding.state for finding in check_cdk_cli(opened)] == [State.OK]
    assert opened.facts("prod").promote_from == "staging"
    assert opened.stage_assembly("prod") == opened.assembly / "assembly-Prod"
    templates = opened.templates("prod")
    assert list(templates) == [stack.name for stack in opened.stage("prod").stacks]
    assert "AWS::SageMaker::Endpoint" in {each["Type"] for each in templates["Serving"]["Resources"].values()}


def test_a_schema_that_the_cli_does_not_read(opened: OpenedRelease, tmp_path: Path) -> None:
    shutil.copytree(opened.assembly, tmp_path / "assembly")
    manifest = tmp_path / "assembly/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "999.0.0"}))
    later = OpenedRelease(release=opened.release, folder=opened.folder, assembly=tmp_path / "assembly")
    [finding] = check_cdk_cli(later)
    assert finding.state is State.PROBLEM
    assert "999.0.0" in finding.found
    assert "make setup" in finding.remedy


def repacked(opened: OpenedRelease, target: Path, edit: Callable[[Path, dict[str, Any]], object]) -> Path:
    """A copy of the release that is edited, with the right hash of its archive."""
    assembly = target / "assembly"
    target.mkdir()
    unpack(opened.archive, assembly)
    document = json.loads(opened.document.read_text())
    edit(assembly, document)
    pack(assembly, target / "release.tar")
    document["tar_sha256"] = sha256(target / "release.tar")
    (target / "release.json").write_text(json.dumps(document))
    return target


def test_a_byte_of_a_template_in_the_archive(opened: OpenedRelease, tmp_path: Path) -> None:
    for name in ("release.tar", "release.json"):
        shutil.copy(opened.folder / name, tmp_path)
    content = bytearray((tmp_path / "release.tar").read_bytes())
    place = content.index(b"AWS::SageMaker::Endpoint")
    content[place] ^= 1
    (tmp_path / "release.tar").write_bytes(content)
    with pytest.raises(ReleaseError, match="has the SHA-256 .* damaged"), open_release(tmp_path):
        raise AssertionError("it was opened")


def replace(path: str, before: str, after: str) -> Callable[[Path, dict[str, Any]], object]:
    """An edit of a file that matches the pattern."""

    def edit(assembly: Path, document: dict[str, Any]) -> None:
        [file] = assembly.glob(path)
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    return edit


EDITS: dict[str, tuple[Callable[[Path, dict[str, Any]], object], str]] = {
    "a template": (
        replace("assembly-Prod/ProdServing*.template.json", "ml.g5.xlarge", "ml.p4d.24xlarge"),
        r"stages\.prod\.stacks\.2\.template_sha256",
    ),
    "artifacts": (replace("assembly-Prod/manifest.json", "cdk-hnb659fds-deploy-role", "mine"), r"stages\.prod\.manifest_sha256"),
    "an adapter": (replace("lora-serving.json", '"adapters": []', '"adapters": [{"names": ["x"], "source": "s3://a/b", "sha256": null, "labels": {}}]'), r"adapters_sha256"),
    "the account of the document": (lambda _, document: document["stages"]["prod"].update(account="444444444444"), r"stages\.prod\.account"),
    "a stage less in the document": (lambda _, document: document["stages"].pop("staging"), r"stages\.staging differs"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "place"), EDITS.values(), ids=EDITS)
def test_what_the_document_does_not_describe(
    edit: Callable[[Path, dict[str, Any]], object], place: str, opened: OpenedRelease, tmp_path: Path
) -> None:
    folder = repacked(opened, tmp_path / "edited", edit)
    with pytest.raises(ReleaseError, match=place), open_release(folder):
        raise AssertionError("it was opened")


def test_a_document_with_fields_of_a_later_version(opened: OpenedRelease, tmp_path: Path) -> None:
    folder = repacked(
        opened, tmp_path / "edited", lambda _, document: document["stages"]["prod"].update(later=1)
    )
    with open_release(folder) as found:
        assert found.release.stage("prod") == opened.stage("prod")


@pytest.mark.parametrize("content", [None, b"{}", b"\xff", b'{"schema": 2}'])
def test_a_folder_without_a_release(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "release.json").write_bytes(content)
    with pytest.raises(ReleaseError, match=r"release\.json is"), open_release(tmp_path):
        raise AssertionError("it was opened")


def test_a_changed_working_tree_and_what_else_stands_against_a_release(clone: Path, built: Path) -> None:
    files = [clone / "stages/staging.yaml", clone / "container/images.lock", clone / "package-lock.json"]
    before = [file.read_text() for file in files]
    files[0].write_text(before[0].replace("account:", "# account:"))
    files[1].write_text(before[1].replace(f'"{DIGEST}"', "null"))
    files[2].write_text(f"{before[2]} ")
    (clone / "stages/next.yaml").write_text(before[0])
    try:
        done = build(clone, "--output", "out/refused")
    finally:
        (clone / "stages/next.yaml").unlink()
        for file, content in zip(files, before, strict=True):
            file.write_text(content)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert [line.split(":")[0] for line in said[1:] if line.startswith("- ")] == [
        "- the working tree differs from its commit, which a release is built from",
        "- the installed packages are not those of the lock files",
        "- stages/staging.yaml",
        "- container/images.lock",
    ]
    assert "container/images.lock, package-lock.json, stages/staging.yaml, stages/next.yaml" in said[1]
    assert not (clone / "out/refused").exists()


def test_the_same_stages_have_no_differences(opened: OpenedRelease) -> None:
    assert list(stage_differences(opened, "staging", "prod")) == []


def test_settings_of_the_container_that_were_not_tested(opened: OpenedRelease, tmp_path: Path) -> None:
    edit = replace(
        "assembly-Prod/ProdServing*.template.json", '"MAX_INPUT_LENGTH": "1024"', '"MAX_INPUT_LENGTH": "900"'
    )
    unpack(opened.archive, tmp_path / "assembly")
    edit(tmp_path / "assembly", {})
    other = OpenedRelease(release=opened.release, folder=opened.folder, assembly=tmp_path / "assembly")
    assert list(stage_differences(other, "staging", "prod")) == [
        SettingDifference(name="engine.max_input_tokens", before="1024", after="900", blocks=True)
    ]


def adapter(name: str, **fields: Any) -> PackedAdapterFacts:
    return PackedAdapterFacts.model_validate(
        {"names": [name], "source": f"hf://acme/{name}@{'0' * 40}", "sha256": None, "labels": {}} | fields
    )


LOCKED = {"source": "s3://staging/adapters/otter/1/", "digest": "a" * 64}
FACTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, bool]]] = {
    "another base model": ({}, {"model": {"revision": "1" * 40}}, {"base_model.revision": True}),
    "another engine": ({}, {"engine": "vllm"}, {"engine.name": True}),
    "another image": ({}, {"image": {"asset": "0" * 64}}, {"image": True}),
    "another base image": ({}, {"image": {"base_digest": "sha256:" + "2" * 64}}, {"image": True}),
    "an image in the repository of each account": (
        {"image": {"uri": f"111111111111.dkr.ecr.us-east-1.amazonaws.com/a@{DIGEST}", "asset": None}},
        {"image": {"uri": f"222222222222.dkr.ecr.us-east-1.amazonaws.com/a@{DIGEST}", "asset": None}},
        {},
    ),
    "another GPU": ({}, {"fleet": {"instance_type": "ml.g6.xlarge"}}, {"endpoint.instance_type": False}),
    "another size, network and retention": (
        {},
        {"fleet": {"maximum": 9}, "network": "vpc", "retention": {"retired_days": 1}, "endpoint_name": "x"},
        {},
    ),
    "an adapter that was not tested": ({}, {"adapters": [adapter("otter")]}, {"adapter otter": True}),
    "an adapter less": ({"adapters": [adapter("otter")]}, {}, {}),
    "another commit of an adapter": (
        {"adapters": [adapter("otter")]}, {"adapters": [adapter("otter", source=f"hf://acme/otter@{'1' * 40}")]}, {"adapter otter": True},
    ),
    "another label of an adapter": ({"adapters": [adapter("otter")]}, {"adapters": [adapter("otter", labels={"a": "b"})]}, {}),
    "a lock of what the stage before has from the Hub": ({"adapters": [adapter("otter")]}, {"adapters": [adapter("otter", **LOCKED)]}, {}),
    "the same digest in another store": (
        {"adapters": [adapter("otter", **LOCKED | {"source": "s3://dev/adapters/otter/1/"})]}, {"adapters": [adapter("otter", **LOCKED)]}, {},
    ),
    "no lock any more": ({"adapters": [adapter("otter", **LOCKED)]}, {"adapters": [adapter("otter")]}, {"adapter otter": True}),
    "no lock any more, of the same weights": (
        {"adapters": [adapter("otter", **LOCKED, sha256="c" * 64)]}, {"adapters": [adapter("otter", sha256="c" * 64)]}, {},
    ),
    "another digest": (
        {"adapters": [adapter("otter", **LOCKED)]}, {"adapters": [adapter("otter", **LOCKED | {"digest": "b" * 64})]}, {"adapter otter": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), FACTS.values(), ids=FACTS)
def test_differences_of_facts(
    before: dict[str, Any], after: dict[str, Any], expected: dict[str, bool], opened: OpenedRelease
) -> None:
    found = differences_between(
        changed(opened.facts("staging"), before), changed(opened.facts("staging"), after)
    )
    assert {each.name: each.blocks for each in found} == expected


def changed(facts: StageFacts, keys: dict[str, Any]) -> StageFacts:
    """The facts with other values, also inside their sections."""
    content = facts.model_dump()
    for key, value in keys.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    return StageFacts.model_validate(content)
