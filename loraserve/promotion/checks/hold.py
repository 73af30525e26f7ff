"""The hold of a stage: after a rollback, no release is promoted before a person ends it."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.finding import Finding, ok, problem
from loraserve.release.ledger import Ledger


def check_hold(ledger: Ledger | None) -> Iterator[Finding]:
    """Look for a hold; a stage without a ledger has none."""
    hold = None if ledger is None else ledger.hold()
    if ledger is None or hold is None:
        yield ok("hold", "none")
        return
    yield problem(
        "hold",
        f"{ledger.stage} is held since {hold.since:%Y-%m-%d %H:%M} UTC by {hold.by}: {hold.reason}",
        f"correct the reason in a new release, then `python -m loraserve release resume {ledger.stage}`",
    )
