"""Tables of the `release` commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from loraserve.release.ledger import Hold
from loraserve.release.lock import StageLock
from loraserve.release.record import DeploymentRecord, Outcome
from loraserve.release.record_differences import RecordDifference

#: Hexadecimal digits of a digest or a commit in a table.
_DIGITS = 12
#: Those of a commit in the id of a release.
_SHORT_COMMIT = 7
#: The column that gets what the others leave.
_WRAPPED = "run and reason"
_STYLES = {Outcome.VERIFIED: "green", Outcome.UNVERIFIED: "yellow", Outcome.FAILED: "red"}
_MARKS = {True: Text("✓", style="green"), False: Text("≠", style="yellow"), None: Text("–", style="yellow")}


def ledger(
    stage: str,
    current: DeploymentRecord | None,
    records: Sequence[DeploymentRecord],
    hold: Hold | None,
    lock: StageLock | None,
) -> Iterator[RenderableType]:
    """Yield the lines about a stage's state, and the table of its deployments."""
    if current is None:
        yield f"[bold]{stage}[/]: no deployment that serves is recorded"
    else:
        image = f", image {_short(current.image_digest)}" if current.image_digest else ""
        yield f"[bold]{stage}[/]: {_name(current)} serves since {current.ended}, {current.outcome}{image}"
    if hold is not None:
        yield (
            f"[yellow]![/] held since {hold.since:%Y-%m-%d %H:%M} UTC by {escape(hold.by)}: "
            f"{escape(hold.reason)}; 'python -m loraserve release resume {stage}' ends it"
        )
    if lock is not None:
        state = "left by" if lock.is_expired else "locked by"
        yield f"[yellow]![/] {state} {escape(lock.holder.description)}"
    if records:
        yield deployments(records)


def deployments(records: Sequence[DeploymentRecord]) -> Table:
    """Make the table of deployments."""
    table = _table("started, UTC", "kind", "release", "outcome", _WRAPPED)
    for record in records:
        table.add_row(
            record.started[:16].replace("T", " "),
            record.kind,
            record.release or f"none, of {record.commit[:_SHORT_COMMIT]}",
            Text(record.outcome, style=_STYLES[record.outcome]),
            Text(_run_and_reason(record)),
        )
    return table


def differences(giving: str, taking: str, found: Sequence[RecordDifference]) -> Table:
    """Make the table of the differences of two stages."""
    table = _table("", "", giving, taking)
    for each in found:
        table.add_row(_MARKS[each.is_same], each.field, Text(_short(each.giving)), Text(_short(each.taking)))
    return table


def _run_and_reason(record: DeploymentRecord) -> str:
    by = f"{record.run}, approved by {record.approved_by}" if record.approved_by else record.run
    return f"{by}: {record.reason}" if record.reason else by


def _name(record: DeploymentRecord) -> str:
    return f"release {record.release}" if record.release else f"a deployment by hand ({record.kind})"


def _short(value: str | None) -> str:
    """Shorten a digest or a commit."""
    if value is None:
        return "not known"
    algorithm, _, digest = value.rpartition(":")
    is_digest = len(digest) >= 40 and set(digest) <= set("0123456789abcdef")
    return f"{algorithm}:{digest[:_DIGITS]}…".lstrip(":") if is_digest else value


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != _WRAPPED)
    return table
