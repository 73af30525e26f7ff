"""A stage with a manifest, for the checks of sources and of what a stage names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from laptop_cloud.cloud import LaptopCloud
from loraserve.finding import Finding, State
from stacks.config.loading import load_stage
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT
from tests.harness import factories

ACCOUNT = "000000000000"
LOCAL_MODEL = {"name": "tiny-mistral", "path": str(ROOT / "samples" / "base")}
MADE_MODEL = {"name": factories.BASE}

Check = Callable[[LoadedStage, Any], Iterable[Finding]]


def stage_in(folder: Path, *, adapters: Iterable[dict[str, Any]] = (), **settings: Any) -> LoadedStage:
    """Write and load a stage; by default with the sample model and without adapters."""
    content: dict[str, Any] = {
        "account": ACCOUNT,
        "engine": {"name": "vllm", "max_adapter_rank": 64},
        "base_model": LOCAL_MODEL,
        "adapters": "adapters.yaml",
        "allow_unpinned_sources": True,
        "endpoint": {"instance_type": "ml.g5.xlarge"},
        "autoscaling": {"target": 5},  # none is derived for a model of unknown size
    }
    (folder / "adapters.yaml").write_text(yaml.safe_dump({"adapters": list(adapters)}))
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(content | settings))
    return load_stage(path)


class Doctor:
    """A check of the tests, with the laptop cloud as the account."""

    def __init__(self, check: Check, laptop: LaptopCloud, folder: Path) -> None:
        self.check = check
        self.laptop = laptop
        self.folder = folder

    def findings(self, **settings: Any) -> list[Finding]:
        stage = stage_in(self.folder, **settings)
        return list(self.check(stage, self.laptop.client))

    def one(self, title: str, **settings: Any) -> Finding:
        """Return the finding of a title, of which there must be exactly one."""
        found = self.findings(**settings)
        matching = [finding for finding in found if finding.check == title]
        assert len(matching) == 1, found
        return matching[0]


def assert_healthy(findings: Iterable[Finding]) -> None:
    """Assert that there are findings, and that each is OK; the laptop cloud's instance types have no disks."""
    found = [finding for finding in findings if finding.check != "disk of an instance"]
    assert found
    assert [finding for finding in found if finding.state is not State.OK] == []


def assert_remedied(findings: Iterable[Finding]) -> None:
    """Assert that each problem has a remedy."""
    assert [finding for finding in findings if finding.state is State.PROBLEM and not finding.remedy] == []
