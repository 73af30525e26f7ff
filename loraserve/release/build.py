"""Building of a release: the stages that `promote_from` connects, synthesized from a commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from loraserve.cdk import CLI, NODE, cdk
from loraserve.release.archive import pack, sha256
from loraserve.release.description import describe
from loraserve.release.opened import OpenedRelease, open_release
from loraserve.release.release import ARCHIVE_FILE, RELEASE_FILE, Release, ReleaseError, to_json
from loraserve.release.reproducible import problems
from loraserve.release.source import Commit, head, repository, uncommitted
from loraserve.review.document import write
from loraserve.review.packages import link_heads
from loraserve.review.report.markdown import SUMMARY_BUDGET, markdown
from loraserve.review.review import review
from loraserve.review.revisions import export
from loraserve.review.sides import OF_THE_HEAD, Side
from loraserve.setup.steps import has_locked_packages
from stacks.config.base_images import read_lock
from stacks.config.loading import load_stages
from stacks.config.promotion_order import chained
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT

#: The review of what the release changes since the previous one, beside the release.
REVIEW_FILES = REVIEW_JSON, REVIEW_MARKDOWN = "review.json", "review.md"
#: Changed files that an error names.
_SHOWN = 8


def build_release(output: Path, *, previous: Path | None = None) -> Release:
    """Build the release of the working tree's commit into the folder `output`.

    The commit is exported and synthesized in a temporary folder: files that are not in it do not count.
    `previous` is the folder of an earlier release; a review of what changes since then is written beside the
    release. Raises `ReleaseError` with all that stands against a release, `ConfigError` for an unusable stage
    file, and `CdkError`.
    """
    commit = head()
    names = _check()
    with ExitStack() as stack:
        before = None if previous is None else stack.enter_context(open_release(previous))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="lora-serving-release-")))
        assembly = folder / "assembly"
        _synth(commit, names, folder, assembly)
        release = write_release(assembly, commit, output)
        for name in REVIEW_FILES:
            (output / name).unlink(missing_ok=True)
        if before is not None:
            _review(before, release, assembly, output)
    return release


def write_release(assembly: Path, commit: Commit, output: Path) -> Release:
    """Write the archive of an assembly and its description into the folder `output`; return the latter."""
    output.mkdir(parents=True, exist_ok=True)
    archive = output / ARCHIVE_FILE
    # Without the description, what an interrupted build leaves is no release.
    (output / RELEASE_FILE).unlink(missing_ok=True)
    pack(assembly, archive)
    release = Release(
        release=commit.release,
        commit=commit.hash,
        committed=commit.committed.isoformat(),
        repository=repository(),
        versions=dict(_versions(assembly)),
        tar_sha256=sha256(archive),
        stages=describe(assembly),
    )
    (output / RELEASE_FILE).write_bytes(to_json(release))
    return release


def _check() -> list[str]:
    """Return the names of the stages in the order of the promotion; raises `ReleaseError`."""
    found = list(_differing())
    every = {stage.name: stage for stage in load_stages(ROOT / "stages")}
    names = chained({name: stage.config.promote_from for name, stage in every.items()})
    stages: Sequence[LoadedStage] = [every[name] for name in names]
    if not stages:
        found.append(
            "stages/*.yaml: promote_from is in no file, and a release has the stages that it connects: write "
            "it in the file of each stage that gets what another one has tested"
        )
    found += problems(stages, read_lock())
    if found:
        lines = "".join(f"\n- {problem}" for problem in found)
        raise ReleaseError(f"no release of this commit; correct the following and commit it:{lines}")
    return names


def _differing() -> Iterator[str]:
    """Yield what makes this working copy another one than a clone of its commit."""
    changed = list(uncommitted())
    if changed:
        yield (
            "the working tree differs from its commit, which a release is built from: commit or remove "
            f"{', '.join(changed[:_SHOWN])}{f' and {len(changed) - _SHOWN} more' if changed[_SHOWN:] else ''}"
        )
    if not has_locked_packages():
        yield "the installed packages are not those of the lock files: run `make setup`"


def _synth(commit: Commit, stages: Sequence[str], folder: Path, assembly: Path) -> None:
    tree = folder / "tree"
    export(commit.hash, tree, folder / "index")
    link_heads(tree)
    environment = {name: value for name, value in os.environ.items() if name not in OF_THE_HEAD}
    cdk(
        *("synth", "**", "--quiet", "--context", f"stage={','.join(stages)}"),
        environment=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        output=assembly,
        root=tree,
    )


def _versions(assembly: Path) -> Iterator[tuple[str, str]]:
    """Yield what synthesized an assembly, sorted; the schema is the one that a CDK CLI must read."""
    yield "assembly-schema", json.loads((assembly / "manifest.json").read_text())["version"]
    yield "aws-cdk", json.loads((CLI.parent.parent / "package.json").read_text())["version"]
    yield "aws-cdk-lib", version("aws-cdk-lib")
    yield "constructs", version("constructs")
    shown = subprocess.run([NODE, "--version"], check=True, capture_output=True, text=True)
    yield "node", shown.stdout.strip().removeprefix("v")
    yield "python", platform.python_version()


def _review(before: OpenedRelease, release: Release, assembly: Path, output: Path) -> None:
    document = review(
        Side(
            name=f"release {before.release.release}", commit=before.release.commit, assembly=before.assembly
        ),
        Side(name=f"release {release.release}", commit=release.commit, assembly=assembly),
    )
    (output / REVIEW_JSON).write_text(write(document))
    (output / REVIEW_MARKDOWN).write_text(markdown(document, budget=SUMMARY_BUDGET))
