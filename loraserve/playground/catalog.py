"""The adapters that can be picked: rows of a table, and choices of a list that can be searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adapters.store.layout import RegistryEntry

#: Columns of `table`.
HEADERS = ("adapter", "revision", "labels", "rank", "MB", "resident")
#: Where an instance has an adapter, from the fastest tier on, as `/v1/models` of the container reports it.
TIERS = ("slot", "memory", "disk")


@dataclass(frozen=True)
class CatalogAdapter:
    """One published adapter."""

    name: str
    revision: str
    labels: Mapping[str, str]
    rank: int
    size: int
    """Bytes of the weights."""
    resident: str = "not known"
    """One of `TIERS`, `no`, or `not known`."""

    @property
    def labels_text(self) -> str:
        """Labels in one line, e.g. `team=a tier=gold`."""
        return " ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))

    @property
    def choice(self) -> tuple[str, str]:
        """Text that is searched and shown in the list, and the name that it picks."""
        where = {"slot": "in a slot", "memory": "in memory", "disk": "on disk", "no": "not loaded"}
        size = f"{self.size / 1e6:.1f} MB"
        details = (self.name, self.revision[:8], self.labels_text, size, where.get(self.resident))
        return " · ".join(filter(None, details)), self.name


def catalog(
    entries: Iterable[RegistryEntry], resident: Mapping[str, str | None] | None
) -> list[CatalogAdapter]:
    """Return the adapters by name; `resident` has the tier of each name, None if nothing is known."""
    return [
        CatalogAdapter(
            entry.name,
            entry.revision,
            entry.labels,
            entry.rank,
            entry.size,
            "not known" if resident is None else resident.get(entry.name) or "no",
        )
        for entry in sorted(entries, key=lambda entry: entry.name)
    ]


def table(adapters: Iterable[CatalogAdapter]) -> list[list[str | int | float]]:
    """Return rows with the columns `HEADERS`."""
    return [
        [each.name, each.revision, each.labels_text, each.rank, round(each.size / 1e6, 2), each.resident]
        for each in adapters
    ]


def fastest(tiers: Iterable[str | None]) -> str | None:
    """Return the fastest tier of one adapter over all instances."""
    found = [tier for tier in tiers if tier in TIERS]
    return min(found, key=TIERS.index, default=None)


def summary(adapters: list[CatalogAdapter], bucket: str | None) -> str:
    """Return a sentence about the list: its length, and where residency comes from."""
    if bucket is None:
        return (
            "The endpoint is not a stage's, so its adapters are not known: type their names, or start the "
            "page with --bucket."
        )
    if any(each.resident == "not known" for each in adapters):
        return (
            f"{len(adapters)} adapters. Which of them are in an instance's memory is not known: SageMaker "
            "passes on invocations only, and the container lists it at another path."
        )
    return f"{len(adapters)} adapters. Resident: the fastest tier in which an instance has it."
