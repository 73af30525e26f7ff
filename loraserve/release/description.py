"""The description of an assembly's stages: made for `release.json`, and again to check it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loraserve.release.release import ImageRelease, ReleaseError, StackRelease, StageRelease, template_sha256
from loraserve.review.assembly import Stage, read_assembly
from stacks.config.promotion_order import promotion_order
from stacks.facts import FACTS_FILE, StageFacts


def describe(assembly: Path) -> dict[str, StageRelease]:
    """Describe all stages of an assembly, each after the one that it is promoted from.

    Raises `AssemblyError` for a folder that is no assembly, `ReleaseError` for one without facts.
    """
    read = read_assembly(assembly)
    folders = stage_folders(assembly)
    found = {}
    for stage in read.stages.values():
        if stage.facts is None:
            raise ReleaseError(
                f"{assembly}: the stage {stage.id} has no facts of this version in {FACTS_FILE}: build the "
                "release again"
            )
        found[stage.facts.name] = _stage(assembly, folders[stage.id], stage, stage.facts)
    return {
        name: found[name]
        for name in promotion_order({name: each.promote_from for name, each in found.items()})
    }


def stage_folders(assembly: Path) -> dict[str, Path]:
    """Return the folder of each stage's nested assembly, by the stage's id."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return {
        artifact.get("displayName") or name.removeprefix("assembly-"): assembly
        / artifact["properties"]["directoryName"]
        for name, artifact in artifacts.items()
        if artifact["type"] == "cdk:cloud-assembly"
    }


def _stage(assembly: Path, folder: Path, stage: Stage, facts: StageFacts) -> StageRelease:
    stacks = list(stage.stacks.values())
    files = _template_files(folder)
    return StageRelease(
        name=facts.name,
        account=stacks[0].account,
        region=stacks[0].region,
        promote_from=facts.promote_from,
        is_protected=any(stack.termination_protection for stack in stacks),
        endpoint_name=facts.endpoint_name,
        manifest_sha256=hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest(),
        stacks=tuple(
            StackRelease(
                name=stack.name,
                stack_name=stack.stack_name,
                template=(folder / files[stack.name]).relative_to(assembly).as_posix(),
                template_sha256=template_sha256(stack.template),
                termination_protection=stack.termination_protection,
            )
            for stack in stacks
        ),
        assets=tuple(sorted(stage.assets)),
        image=ImageRelease(
            asset=facts.image.asset,
            uri=facts.image.uri,
            base=facts.image.base,
            base_digest=facts.image.base_digest,
        ),
        adapters_sha256=_adapters_sha256(assembly, stage.id),
        warnings=facts.warnings,
    )


def _template_files(folder: Path) -> dict[str, str]:
    """Return the file of each stack's template, by the stack's name within the stage."""
    artifacts: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text())["artifacts"]
    return {
        artifact["displayName"].split(" ")[0].rpartition("/")[2]: artifact["properties"]["templateFile"]
        for artifact in artifacts.values()
        if artifact["type"] == "aws:cloudformation:stack"
    }


def _adapters_sha256(assembly: Path, stage: str) -> str:
    """Hash the adapters as the file has them: `StageFacts` of another version may have more fields."""
    facts = json.loads((assembly / FACTS_FILE).read_text())
    text = json.dumps(facts["stages"][stage]["adapters"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
