"""The seeder's checkpoint: its state between two invocations, and between two deployments.

It only saves work: its content is checked against listings of the bucket, and without it everything is looked
up again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from adapters.store.layout import SEEDING_PREFIX, RegistryEntry
from adapters.store.publishing import Change
from adapters.store.registry import Published
from adapters.store.s3 import S3Client, is_absent

#: A checkpoint of another version is not read.
_VERSION = 1


@dataclass
class Checkpoint:
    """The content of `seeding/<owner>/record.json`; see `Seeder` for what it has after each phase."""

    manifest: str = ""
    """Key of the manifest asset of this seeding."""
    commits: dict[str, str] = field(default_factory=dict)
    """By repository and branch (`HubSource.root`): its commit when this seeding began."""
    rules: str = ""
    """The rules by which the sources in `passed` were checked."""
    passed: dict[str, bool] = field(default_factory=dict)
    """Sources that passed the check, before anything of them was transferred."""
    ready: dict[str, RegistryEntry] = field(default_factory=dict)
    """By name: entries whose objects are complete, to be published once all others are."""
    model_files: list[str] = field(default_factory=list)
    """Keys of the base model's files that are in the bucket and checked."""
    originals: dict[str, RegistryEntry | None] = field(default_factory=dict)
    """By name: the entries before this seeding began to write the registry."""
    introduced: list[str] = field(default_factory=list)
    """Prefixes of revisions that become current with this seeding. Some may have been retired before."""
    superseded: list[str] = field(default_factory=list)
    """Prefixes of revisions to retire after the registry is written."""
    kept_before: dict[str, bool] = field(default_factory=dict)
    """Those of `introduced` that were revived before the registry was written."""
    kept_after: dict[str, bool] = field(default_factory=dict)
    """Those of `introduced` that were revived after the registry was written."""
    retired: dict[str, bool] = field(default_factory=dict)
    """Those of `superseded` that are retired."""
    registry: dict[str, Published] = field(default_factory=dict)
    """By name: the registry's entries when they were last read."""
    fetchable: list[str] = field(default_factory=list)
    """`<name>@<commit>` of base models that the container could fetch. They are not asked for again, so that
    CloudFormation's rollback to one of them does not depend on the Hub."""

    @classmethod
    def load(cls, s3: S3Client, bucket: str, owner: str) -> Checkpoint:
        """Read the checkpoint of a stack; an empty one if it is absent or cannot be read."""
        try:
            body = s3.get_object(Bucket=bucket, Key=_key(owner))["Body"].read()
        except s3.exceptions.ClientError as error:
            if is_absent(error):
                return cls()
            raise
        try:
            return cls._from_json(json.loads(body))
        except (ValueError, KeyError, TypeError):
            return cls()

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> Checkpoint:
        if data["version"] != _VERSION:
            return cls()
        return cls(
            manifest=data["manifest"],
            commits=data["commits"],
            rules=data["rules"],
            passed=data["passed"],
            ready={name: RegistryEntry.from_dict(entry) for name, entry in data["ready"].items()},
            model_files=data["model_files"],
            originals={
                name: RegistryEntry.from_dict(entry) if entry else None
                for name, entry in data["originals"].items()
            },
            introduced=data["introduced"],
            superseded=data["superseded"],
            kept_before=data["kept_before"],
            kept_after=data["kept_after"],
            retired=data["retired"],
            registry={
                name: Published(RegistryEntry.from_dict(seen["entry"]), seen["etag"])
                for name, seen in data["registry"].items()
            },
            fetchable=data.get("fetchable", []),
        )

    @property
    def has_work(self) -> bool:
        """True if a seeding has begun and not ended."""
        return bool(
            self.commits
            or self.passed
            or self.ready
            or self.model_files
            or self.introduced
            or self.superseded
        )

    def begin(self, manifest: str, rules: str) -> None:
        """Drop the results for another manifest or by other rules; entries that are ready stay."""
        if self.manifest != manifest:
            self.manifest, self.commits = manifest, {}
            self.kept_before, self.kept_after, self.retired = {}, {}, {}
        if self.rules != rules:
            self.rules, self.passed = rules, {}

    def note(self, changes: Sequence[Change]) -> bool:
        """Add what is about to be published, for a later invocation; false if there is nothing to do."""
        needed = [change for change in changes if change.is_one]
        if not (needed or self.has_work):
            return False
        for change in needed:
            self.originals.setdefault(change.name, change.original)
        introduced = [change.introduced for change in needed if change.introduced is not None]
        superseded = [change.superseded for change in needed if change.superseded is not None]
        # A revision that was uploaded for another manifest, and that no manifest has, must not stay for ever.
        left = [entry.prefix for name, entry in self.ready.items() if entry.prefix not in introduced]
        self.introduced = sorted({*self.introduced, *introduced})
        self.superseded = sorted({*self.superseded, *superseded, *left})
        return True

    def end(self) -> None:
        """Drop everything but the registry and the base models that could be fetched."""
        self.commits, self.passed, self.ready = {}, {}, {}
        self.model_files, self.originals, self.introduced, self.superseded = [], {}, [], []
        self.kept_before, self.kept_after, self.retired = {}, {}, {}

    def save(self, s3: S3Client, bucket: str, owner: str) -> None:
        """Write the checkpoint; other threads may add to it at the same time."""
        copy = replace(
            self,
            commits=dict(self.commits),
            passed=dict(self.passed),
            ready=dict(self.ready),
            model_files=list(self.model_files),
            kept_before=dict(self.kept_before),
            kept_after=dict(self.kept_after),
            retired=dict(self.retired),
            registry=dict(self.registry),
        )
        body = json.dumps({"version": _VERSION, **asdict(copy)}, sort_keys=True)
        s3.put_object(Bucket=bucket, Key=_key(owner), Body=body.encode(), ContentType="application/json")


def _key(owner: str) -> str:
    return f"{SEEDING_PREFIX}{owner}/record.json"
