"""Progress of a seeding: log lines, and `status.json` and `report.json` in the bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from adapters.errors import AdapterError
from adapters.store.layout import SEEDING_PREFIX
from adapters.store.s3 import S3Client


@dataclass
class Status:
    """The content of `status.json`; see `Progress`."""

    phase: str = "reading the manifest"
    adapters: int = 0
    """Names in the manifest."""
    examined: int = 0
    """Sources located and checked in this invocation, of those that were not known."""
    ready: int = 0
    """Names whose objects are all in the bucket."""
    published: int = 0
    """Registry entries written."""
    unpublished: int = 0
    """Registry entries removed."""
    failed: int = 0
    """Names that cannot be published."""
    bytes_moved: int = 0
    """Bytes that this invocation uploaded; copies inside S3 do not count."""
    warnings: tuple[str, ...] = ()


class Progress:
    """Counters of one seeding, for several threads; reported to the log and to the bucket."""

    def __init__(self, s3: S3Client, bucket: str, owner: str) -> None:
        """The objects are `seeding/<owner>/status.json` and `seeding/<owner>/report.json`."""
        self.status = Status()
        self._s3 = s3
        self._bucket = bucket
        self._folder = f"{SEEDING_PREFIX}{owner}/"
        self._lock = threading.Lock()

    def count(self, **figures: int) -> None:
        """Add to figures of the status."""
        with self._lock:
            for name, more in figures.items():
                setattr(self.status, name, getattr(self.status, name) + more)

    def add_bytes(self, count: int) -> None:
        """Count bytes that reached the bucket."""
        self.count(bytes_moved=count)

    def warn(self, message: str) -> None:
        """Add a warning, once."""
        with self._lock:
            if message not in self.status.warnings:
                self.status.warnings += (message,)

    def report(self, phase: str | None = None) -> None:
        """Write the status to the log and to the bucket; `phase` replaces the current one."""
        with self._lock:
            self.status.phase = phase or self.status.phase
            figures = asdict(self.status)
        print(json.dumps({"seeding": figures}))
        self._put("status.json", figures | {"updated": datetime.now(UTC).isoformat(timespec="seconds")})

    def report_failures(self, errors: Sequence[AdapterError]) -> str:
        """Write every failure to `report.json` and return its S3 URI: CloudFormation's response is short."""
        failures = [
            {"adapter": error.adapter, "problem": error.problem, "remedy": error.remedy} for error in errors
        ]
        return self._put("report.json", {"failures": failures})

    def _put(self, name: str, content: dict[str, object]) -> str:
        key = self._folder + name
        body = json.dumps(content, indent=1).encode()
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self._bucket}/{key}"
