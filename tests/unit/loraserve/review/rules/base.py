"""A synthesized stage in a VPC as the base of edits, and all pairs of base and edit compared in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

from loraserve.review.assembly import CloudAssembly, Stage, read_assembly
from loraserve.review.comparison import StageComparison, compare
from stacks.config.loading import load_stage
from stacks.stage import ServingStage
from tests.harness.assembly import empty_app
from tests.policy.matrix import STAGES, merged

#: All optional resources of a stage: VPC, subscribers, recorded requests, guards.
_OVERLAY: dict[str, Any] = {
    "network": {"mode": "vpc"},
    "retain_data": True,
    "termination_protection": True,
    "observability": {"alarm_emails": ["oncall@example.com", "lead@example.com"]},
    "endpoint": {"data_capture": {"percent": 10}},
}

#: An edit changes the stage's templates, by stack, and may return another stage.
Edit = Callable[[dict[str, Any]], Any]


@cache
def base() -> Stage:
    """Return the base, synthesized once; tests do not change it."""
    folder = Path(mkdtemp()).resolve()
    (folder / "adapters").symlink_to(STAGES / "adapters")
    path = folder / "base.yaml"
    path.write_text(yaml.safe_dump(merged(yaml.safe_load((STAGES / "dev.yaml").read_text()), _OVERLAY)))
    app = empty_app(folder / "out")
    ServingStage(app, "Base", stage=load_stage(path))
    app.synth()
    return replace(read_assembly(folder / "out").stages["Base"], facts=None)


def edited(edit: Edit) -> Stage:
    """Return a copy of the base after an edit of its templates."""
    stage = base()
    templates = {name: copy.deepcopy(dict(stack.template)) for name, stack in stage.stacks.items()}
    found = edit(templates)
    if isinstance(found, Stage):
        return found
    stacks = {
        name: replace(stack, template=templates[name])
        for name, stack in stage.stacks.items()
        if name in templates
    }
    return replace(stage, stacks=stacks)


def compared(edits: Mapping[str, Edit]) -> dict[str, StageComparison]:
    """Compare the base with each edit, all in one call of the diff library."""
    before = CloudAssembly(stages={name: replace(base(), id=name) for name in edits}, prices_date=None)
    after = CloudAssembly(
        stages={name: replace(edited(edit), id=name) for name, edit in edits.items()}, prices_date=None
    )
    return {each.id: each for each in compare(before, after)}
