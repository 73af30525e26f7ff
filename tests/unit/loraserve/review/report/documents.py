"""Documents of reviews, as the reports get them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loraserve.review.document import (
    AdapterEntry,
    ComparedSide,
    ReportedFinding,
    ReportedResource,
    ReviewDocument,
    StageResult,
)


def finding(rule: str, level: Any, title: str, stage: str = "prod", **others: Any) -> ReportedFinding:
    defaults: dict[str, Any] = {
        "id": "0123456789ab",
        "accepted": False,
        "consequence": "",
        "action": "",
        "details": (),
        "resources": (),
        "before": None,
        "after": None,
    }
    category: Any = rule.partition(".")[0]
    return ReportedFinding(
        rule=rule, level=level, title=title, stage=stage, category=category, **{**defaults, **others}
    )


def stage(name: str, verdict: Any, **others: Any) -> StageResult:
    defaults: dict[str, Any] = {
        "requests": "=",
        "facts_known": True,
        "usd_month_most_before": 4127.0,
        "usd_month_most_after": 4127.0,
    }
    return StageResult(id=name.capitalize(), name=name, verdict=verdict, **{**defaults, **others})


NOTHING = ReviewDocument(
    schema=1,
    base=ComparedSide(name="main", commit="1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"),
    head=ComparedSide(name="working tree", commit="5d6e7f8a9b0c1d2e3f4a5d6e7f8a9b0c1d2e3f4a"),
    has_heads_packages=False,
    notes=(),
    stages=(stage("dev", "NOTHING"), stage("staging", "NOTHING"), stage("prod", "NOTHING")),
    findings=(),
    hidden=0,
    adapters=(),
    diff="",
    prices_date="2026-11",
    fail_on="block",
    accepted=(),
    exit_code=0,
)
#: The example of the specification, with a finding of each level.
EXAMPLE = replace(
    NOTHING,
    stages=(
        stage("dev", "NOTHING"),
        stage("staging", "ROLLOVER", requests="served, all at once, ≥ 5 min"),
        stage("prod", "BLOCK", requests="served, rolling, ≥ 10 min", usd_month_most_after=8239.0),
    ),
    findings=(
        finding(
            "loss.data",
            "BLOCK",
            "the bucket is deleted, with 12 adapters",
            consequence="CloudFormation deletes the objects.",
            action="Keep the construct's id, or copy the objects first.",
            resources=(
                ReportedResource(
                    stack="AdapterStore",
                    logical_id="Bucket1",
                    type="AWS::S3::Bucket",
                    path="Prod/AdapterStore/Bucket",
                ),
            ),
        ),
        finding(
            "access.wider",
            "REVIEW",
            "role Execution may now do more on the bucket",
            consequence="The container may delete adapters.",
            details=("s3:DeleteObjectVersion on arn:aws:s3:::bucket/*",),
        ),
        finding(
            "adapters.removed", "REVIEW", "adapter `gsm8k` goes: its callers get 404 within 5 s"
        ),
        *(
            finding(
                "rollover.fleet",
                "ROLLOVER",
                "all instances are replaced",
                stage=name,
                details=("engine.max_total_tokens: 4096 → 8192",),
            )
            for name in ("staging", "prod")
        ),
        finding("capacity.more", "ROUTINE", "up to 8 instances instead of 4"),
        finding("form.text", "NOISE", "dashboard's numbers"),
    ),
    hidden=38,
    adapters=(
        AdapterEntry(stage="prod", name="gsm8k", what="removed", before="hf://org/gsm8k@1a2b3c4", after=None),
        AdapterEntry(stage="prod", name="otter", what="added", before=None, after="hf://org/otter@5d6e7f8"),
    ),
    diff="Stack Prod/AdapterStore\nResources\n[-] AWS::S3::Bucket Bucket1 destroy\n",
    exit_code=3,
)  # fmt: skip
