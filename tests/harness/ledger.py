"""A ledger in a new bucket of the laptop cloud, and records for it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from loraserve.release.ledger import Ledger, timestamp
from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome


def new_ledger(s3: Any, stage: str = "prod") -> Ledger:
    """An empty ledger."""
    bucket = f"ledger-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return Ledger(s3, bucket, stage)


def record(release: str | None, started: int = 0, **fields: Any) -> DeploymentRecord:
    """A record of a deployment that started so many seconds after noon, long ago."""
    noon = datetime(2024, 1, 2, 12, tzinfo=UTC)
    made = {
        "stage": "prod", "account": "333333333333", "region": "us-east-1",
        "kind": DeploymentKind.PROMOTION, "outcome": Outcome.VERIFIED, "release": release,
        "commit": "0" * 40, "tar_sha256": None, "started": timestamp(noon + timedelta(seconds=started)),
        "ended": timestamp(noon + timedelta(hours=1)),
    }  # fmt: skip
    return DeploymentRecord.model_validate(made | fields)
