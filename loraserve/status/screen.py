"""A stage's state as one screen of 80 columns and 24 lines, however many stacks and alarms there are."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from loraserve.check_report import MARKS
from loraserve.finding import State
from loraserve.status.stage_status import EndpointState, HourlyCost, ReleaseState, StageStatus

#: Columns of a row's text beside its mark and its title, and the most lines of it.
_WIDTH, _LINES = 66, 2
#: Names of alarms that the screen has; the JSON document has all.
_SHOWN = 4
#: States of a stack from which nothing is left to do.
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


class StatusRow(NamedTuple):
    """A line of the screen."""

    state: State
    title: str
    text: str


def screen(status: StageStatus) -> Table:
    """Make the table; its title is the stage, its account, and the time."""
    account = f"account {status.account}, " if status.account else ""
    table = Table(
        title=f"{status.stage}: {account}{status.region}, {status.at:%Y-%m-%d %H:%M:%S} UTC",
        title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False,
    )  # fmt: skip
    table.add_column(width=1)
    table.add_column(width=10)
    table.add_column(no_wrap=True)
    for row in rows(status):
        mark, style = MARKS[row.state]
        lines = textwrap.wrap(row.text, _WIDTH, max_lines=_LINES, placeholder=" …", break_on_hyphens=False)
        table.add_row(Text(mark, style=style), row.title, Text("\n".join(lines)))
    return table


def rows(status: StageStatus) -> Iterator[StatusRow]:
    """Yield the lines, those of parts that are not known included."""
    yield from _stacks(status)
    yield from _endpoint(status)
    yield from _adapters(status)
    yield from _alarms(status)
    if status.release is not None:
        yield from _release(status.release)
    if status.cost is not None:
        yield _cost(status.cost, status.endpoint)
    for part, reason in status.not_known.items():
        yield StatusRow(State.UNKNOWN, part, f"not known: {reason}")


def _stacks(status: StageStatus) -> Iterator[StatusRow]:
    if status.stacks is None:
        return
    by_status: dict[str, list[str]] = defaultdict(list)
    for name, state in sorted(status.stacks.items()):
        by_status[state].append(name)
    text = "; ".join(f"{', '.join(named)}: {state}" for state, named in by_status.items())
    failed = [state for state in by_status if state.endswith("FAILED") or "ROLLBACK" in state]
    state = State.PROBLEM if failed else State.OK if set(by_status) <= set(_DONE) else State.WARNING
    yield StatusRow(state, "stacks", text or "none: the stage is not deployed")


def _endpoint(status: StageStatus) -> Iterator[StatusRow]:
    found = status.endpoint
    if found is None:
        if "endpoint" not in status.not_known:
            yield StatusRow(State.PROBLEM, "endpoint", "does not exist")
        return
    in_service = found.status == "InService"
    state = State.OK if in_service else State.PROBLEM if "Fail" in found.status else State.WARNING
    reason = f": {found.failure}" if found.failure else ""
    text = f"{found.name} {found.status} since {found.changed:%Y-%m-%d %H:%M}{reason}"
    yield StatusRow(state, "endpoint", text)
    steady = found.instances == found.wanted_instances and found.instances > 0
    kind = found.instance_type or "a type that is not known: its config is deleted"
    scaled = "no autoscaling" if found.limits is None else "autoscaling {} to {}".format(*found.limits)
    text = f"{found.instances} of {found.wanted_instances} {kind}, {scaled}"
    yield StatusRow(State.OK if steady else State.WARNING, "instances", text)


def _adapters(status: StageStatus) -> Iterator[StatusRow]:
    if (found := status.adapters) is not None:
        places = {"slots": found.in_slots, "memory": found.in_memory, "disk": found.on_disk}
        reported = [f"{count:g} {_on(place)}" for place, count in places.items() if count is not None]
        resident = f"resident: {', '.join(reported)}" if reported else "resident: not reported"
        yield StatusRow(State.OK, "adapters", f"{found.published} published; {resident}")
    if (counted := status.requests) is not None:
        share = f" ({counted.errors / counted.requests:.1%})" if counted.errors else ""
        text = f"{counted.requests:,} in the last hour, {counted.errors:,} errors{share}"
        yield StatusRow(State.WARNING if counted.errors else State.OK, "requests", text)


def _on(place: str) -> str:
    return f"on {place}" if place == "disk" else f"in {place}"


def _alarms(status: StageStatus) -> Iterator[StatusRow]:
    if (found := status.alarms) is None:
        return
    prefix = "" if status.endpoint is None else f"{status.endpoint.name}-"
    silent = f"; {len(found.silent)} without data" if found.silent else ""
    if found.raised:
        named = _named([name.removeprefix(prefix) for name in found.raised])
        yield StatusRow(State.PROBLEM, "alarms", f"in ALARM: {named}, of {found.total}{silent}")
    else:
        yield StatusRow(State.OK, "alarms", f"none of {found.total} in ALARM{silent}")


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _release(found: ReleaseState) -> Iterator[StatusRow]:
    if found.kind is None:
        yield StatusRow(State.OK, "release", "no deployment is recorded")
    else:
        what = found.release or "none"
        state = State.OK if found.outcome == "verified" else State.WARNING
        yield StatusRow(state, "release", f"{what}: {found.kind}, {found.outcome}, {found.ended}")
    if found.hold is not None:
        yield StatusRow(State.WARNING, "hold", found.hold)
    if found.lock is not None:
        yield StatusRow(State.WARNING, "deployment", f"under way: {found.lock}")


def _cost(found: HourlyCost, endpoint: EndpointState | None) -> StatusRow:
    if found.usd is None:
        kind = "the instance type" if endpoint is None else endpoint.instance_type or "the instance type"
        return StatusRow(State.UNKNOWN, "cost", f"an hour: no price of {kind} in the table of {found.prices}")
    text = f"${found.usd:,.2f} an hour for the instances (on-demand, {found.prices})"
    if not found.billed:
        text = f"nothing on this machine; in AWS {text}"
    elif found.monthly:
        text += f"; {found.monthly.partition('; ')[0]}"
    return StatusRow(State.OK, "cost", text)
