"""Comparing what serves in two stages, by their records."""

from __future__ import annotations

from dataclasses import dataclass

from loraserve.release.record import DeploymentRecord


@dataclass(frozen=True)
class RecordDifference:
    """A field of two records, of which the first stage is promoted from."""

    field: str
    giving: str | None
    """None if it is not known, or the stage has no record."""
    taking: str | None

    @property
    def is_same(self) -> bool | None:
        """None if one of the values is not known."""
        return None if self.giving is None or self.taking is None else self.giving == self.taking


def compared_records(
    giving: DeploymentRecord | None, taking: DeploymentRecord | None
) -> list[RecordDifference]:
    """Compare what is the same in both stages once a release was promoted.

    The templates themselves are not: each has its stage's names. So a stage's stacks are compared by name.
    """
    one, two = _fields(giving), _fields(taking)
    return [RecordDifference(field, one[field], two[field]) for field in one]


def _fields(record: DeploymentRecord | None) -> dict[str, str | None]:
    if record is None:
        return dict.fromkeys(("release", "commit", "archive", "outcome", "image", "instance type", "stacks"))
    return {
        "release": record.release or f"none ({record.kind})",
        "commit": record.commit or None,
        "archive": record.tar_sha256,
        "outcome": record.outcome,
        "image": record.image_digest,
        "instance type": record.instance_type,
        "stacks": " ".join(record.templates) or None,
    }
