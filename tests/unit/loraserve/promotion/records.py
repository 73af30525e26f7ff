"""Releases and records of deployments, for tests."""

from __future__ import annotations

from typing import Any

from loraserve.promotion.giving import GivingStage
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import Release
from stacks.config.stage_target import StageTarget

TAR = "a" * 64


def stage(name: str, account: str, promote_from: str | None) -> dict[str, Any]:
    """Return a stage of `release.json`."""
    return {
        "name": name, "account": account, "region": "us-east-1", "promote_from": promote_from,
        "is_protected": name == "prod", "endpoint_name": f"LoraServing-{name.capitalize()}-Serving",
        "manifest_sha256": "0" * 64, "stacks": [], "assets": [], "adapters_sha256": "0" * 64, "warnings": [],
        "image": {"asset": "1" * 64, "uri": None, "base": None, "base_digest": None},
    }  # fmt: skip


def release(commit: str = "1" * 40, **fields: Any) -> Release:
    """Return a release of dev, staging and prod."""
    stages = {
        "dev": stage("dev", "111111111111", None),
        "staging": stage("staging", "222222222222", "dev"),
        "prod": stage("prod", "333333333333", "staging"),
    }
    made = {
        "release": f"2026-11-27-{commit[:7]}", "commit": commit, "committed": "2026-11-27T10:00:00+00:00",
        "repository": None, "versions": {}, "tar_sha256": TAR, "stages": stages,
    }  # fmt: skip
    return Release.model_validate(made | fields)


def record(of: str | None = "2026-11-27-1111111", **fields: Any) -> DeploymentRecord:
    """Return the record of a promotion to staging that was verified."""
    made = {
        "stage": "staging", "account": "222222222222", "region": "us-east-1", "kind": "promotion",
        "outcome": "verified", "release": of, "commit": "1" * 40, "tar_sha256": TAR,
        "started": "2026-11-27T11:00:00Z", "ended": "2026-11-27T12:00:00Z",
    }  # fmt: skip
    return DeploymentRecord.model_validate(made | fields)


def giving(found: DeploymentRecord | None, refusal: str = "") -> GivingStage:
    """Return staging, with this record."""
    target = StageTarget(name="staging", account="222222222222", region="us-east-1")
    return GivingStage(target=target, record=found, bucket="store", refusal=refusal)
