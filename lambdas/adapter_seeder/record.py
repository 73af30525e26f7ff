"""What a stage's seeder remembers from one invocation to the next, and from one deploy to the next.

It only saves work: all that it says is checked against listings of the bucket, and without it everything is
looked up again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from adapters.registry import Published
from adapters.s3 import S3Client, is_absent
from adapters.store import SEEDING_PREFIX, RegistryEntry

#: A record of another version is not read.
_VERSION = 1


@dataclass
class Record:
    """One object in the bucket per seeding stack."""

    manifest: str = ""
    """The manifest asset that this seeding works on."""
    commits: dict[str, str] = field(default_factory=dict)
    """What the manifest's branches were found to mean when this seeding began, by source."""
    rules: str = ""
    """The rules by which sources passed."""
    passed: list[str] = field(default_factory=list)
    """Sources that were examined and found good, before anything of them was transferred."""
    ready: dict[str, RegistryEntry] = field(default_factory=dict)
    """By name: whose objects are all there, to be published when all others are."""
    model_files: list[str] = field(default_factory=list)
    """Keys of the base model's files that are in the bucket and checked."""
    returning: list[str] = field(default_factory=list)
    """Prefixes of revisions to keep for good once the registry is written: they may have been retired."""
    superseded: list[str] = field(default_factory=list)
    """Prefixes of revisions to retire once the registry is written."""
    registry: dict[str, Published] = field(default_factory=dict)
    """The registry's entries when they were last seen."""

    @classmethod
    def load(cls, s3: S3Client, bucket: str, owner: str) -> Record:
        """Read the record of a stack; an empty one if there is none that can be read."""
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
    def _from_json(cls, data: dict[str, Any]) -> Record:
        if data["version"] != _VERSION:
            return cls()
        return cls(
            manifest=data["manifest"],
            commits=data["commits"],
            rules=data["rules"],
            passed=data["passed"],
            ready={name: RegistryEntry.from_dict(entry) for name, entry in data["ready"].items()},
            model_files=data["model_files"],
            returning=data["returning"],
            superseded=data["superseded"],
            registry={
                name: Published(RegistryEntry.from_dict(seen["entry"]), seen["etag"])
                for name, seen in data["registry"].items()
            },
        )

    def end(self) -> None:
        """Forget what only this seeding had to know."""
        self.commits, self.passed, self.ready = {}, [], {}
        self.model_files, self.returning, self.superseded = [], [], []

    def save(self, s3: S3Client, bucket: str, owner: str) -> None:
        """Write the record; other threads may go on adding to it."""
        copy = replace(
            self,
            commits=dict(self.commits),
            passed=list(self.passed),
            ready=dict(self.ready),
            returning=list(self.returning),
            model_files=list(self.model_files),
            registry=dict(self.registry),
        )
        body = json.dumps({"version": _VERSION, **asdict(copy)}, sort_keys=True)
        s3.put_object(Bucket=bucket, Key=_key(owner), Body=body.encode(), ContentType="application/json")


def _key(owner: str) -> str:
    return f"{SEEDING_PREFIX}{owner}/record.json"
