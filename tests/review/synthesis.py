"""Both sides of a change: stage files synthesized in the test's process, and their edits."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from loraserve.review.assembly import CloudAssembly, Stage, read_assembly
from loraserve.review.comparison import StageComparison, comparisons
from loraserve.review.engine import findings
from loraserve.review.finding import ReviewFinding
from stacks.config.loading import load_stage
from stacks.project import ROOT
from stacks.stage import ServingStage
from stacks.stage_facts import write_facts
from tests.harness.assembly import empty_app
from tests.review.changes import Change
from tests.review.changes import Side as Edits
from tests.review.edits import edited

STAGES = ROOT / "stages"
#: What the CDK CLI asks of an app beside cdk.json: paths and hashes in the resources' metadata, usage numbers.
_OF_THE_CLI = {
    "aws:cdk:enable-path-metadata": True,
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:version-reporting": True,
}
#: Name of the manifest that a change gives.
_MANIFEST = "adapters/of-the-change.yaml"


class Workshop:
    """Synthesizes stages into one folder, so that each asset is written once; every content only once."""

    def __init__(self, folder: Path) -> None:
        """Copy the stage files to `folder`."""
        self.folder = folder
        shutil.copytree(STAGES, folder / "stages")
        (folder / "samples").symlink_to(ROOT / "samples")
        self._stages: dict[str, CloudAssembly] = {}

    def sides(self, change: Change) -> tuple[CloudAssembly, CloudAssembly]:
        """Return the two sides of a change."""
        before, after = self._side(change, change.base), self._side(change, change.head)
        return before, after

    def synthesized(
        self, name: str, content: dict[str, Any], adapters: list[dict[str, Any]] | None
    ) -> CloudAssembly:
        """Synthesize a stage file of this content."""
        key = repr((name, content, adapters))
        if key not in self._stages:
            if adapters is not None:
                content = content | {"adapters": _MANIFEST}
                (self.folder / "stages" / _MANIFEST).write_text(yaml.safe_dump({"adapters": adapters}))
            file = self.folder / "stages" / f"{name}.yaml"
            file.write_text(yaml.safe_dump(content))
            output = self.folder / "out"
            app = empty_app(output)
            for setting, value in _OF_THE_CLI.items():
                app.node.set_context(setting, value)
            loaded = load_stage(file)
            stage = ServingStage(app, loaded.id, stage=loaded)
            app.synth()
            write_facts({stage.node.id: stage.facts()}, output)
            self._stages[key] = read_assembly(output)
        return self._stages[key]

    def _side(self, change: Change, side: Edits) -> CloudAssembly:
        content = yaml.safe_load((STAGES / f"{change.of}.yaml").read_text())
        if any(
            given is not None for given in (change.both_adapters, change.base.adapters, change.head.adapters)
        ):
            # The stage file's own manifest is a lock; that of a change may have any source.
            content.pop("adapters_locked", None)
        content = with_keys(with_keys(content, change.both), side.stage)
        adapters = change.both_adapters if side.adapters is None else side.adapters
        assembly = self.synthesized(side.name or change.of, content, adapters)
        stages = (
            {} if side.absent else {key: self._edited(stage, side) for key, stage in assembly.stages.items()}
        )
        return replace(assembly, stages=stages)

    def _edited(self, stage: Stage, side: Edits) -> Stage:
        stage = edited(stage, side.code, self.folder / "out")
        return stage if side.facts else replace(stage, facts=None)


def with_keys(content: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """Set dotted keys of a stage file; None removes a key."""
    content = copy.deepcopy(content)
    for path, value in keys.items():
        *above, last = path.split(".")
        section = content
        for part in above:
            section = section.setdefault(part, {})
        if value is None:
            del section[last]
        else:
            section[last] = value
    return content


def reviewed(pairs: Iterable[tuple[CloudAssembly, CloudAssembly]]) -> list[list[ReviewFinding]]:
    """Review each pair; one call of the diff library for all of them."""
    return [[finding for stage in stages for finding in findings(stage)] for stages in compared(pairs)]


def compared(pairs: Iterable[tuple[CloudAssembly, CloudAssembly]]) -> list[list[StageComparison]]:
    """Compare each pair."""
    return comparisons(list(pairs))
