"""The screen of a stage's state: 80 columns and 24 lines, whatever there is to show."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from loraserve.check_report import print_table
from loraserve.finding import State
from loraserve.status.screen import rows, screen
from loraserve.status.stage_status import (
    AdapterCounts,
    AlarmStates,
    EndpointState,
    HourlyCost,
    ReleaseState,
    RequestCounts,
    StageStatus,
)

THEN = datetime(2026, 11, 27, 10, 11, tzinfo=UTC)
NAME = "LoraServing-Prod-Serving"
ENDPOINT = EndpointState(
    name=NAME, variant="AllTraffic", status="InService", config="EndpointConfig-AbC123", changed=THEN, failure="",
    instances=2, wanted_instances=2, instance_type="ml.g5.xlarge", limits=(1, 4),
)  # fmt: skip
RELEASE = ReleaseState(
    release="2026-11-27-1a2b3c4", kind="promotion", outcome="verified", ended="2026-11-27T20:07:39Z",
    hold=None, lock=None,
)  # fmt: skip
WELL = StageStatus(
    stage="prod",
    account="123456789012",
    region="us-east-1",
    at=datetime(2026, 11, 28, tzinfo=UTC),
    stacks=dict.fromkeys(
        ("AdapterStore", "Network", "Observability", "Scaling", "Serving"), "UPDATE_COMPLETE"
    ),
    endpoint=ENDPOINT,
    adapters=AdapterCounts(published=500, in_slots=12, in_memory=30.5, on_disk=31),
    requests=RequestCounts(requests=12345, errors=0),
    alarms=AlarmStates(total=14, raised=(), silent=()),
    release=RELEASE,
    cost=HourlyCost(
        usd=2.816,
        billed=True,
        prices="2026-01",
        monthly="about USD per month: 2,100 at 2 instances; an update adds",
    ),
)
LONG = "the reason has many words, " * 20
WORST = replace(
    WELL,
    stacks={f"Stack{number}": f"UPDATE_ROLLBACK_FAILED_{number}" for number in range(12)},
    endpoint=replace(ENDPOINT, status="UpdateRollbackFailed", failure=LONG, wanted_instances=30),
    requests=RequestCounts(requests=12345, errors=123),
    alarms=AlarmStates(
        total=40, raised=tuple(f"{NAME}-an-alarm-with-a-long-name-{n}" for n in range(40)), silent=()
    ),
    release=replace(RELEASE, hold=LONG, lock=LONG),
    not_known={"cost": LONG},
    cost=None,
)


def printed(status: StageStatus) -> list[str]:
    console = Console(file=io.StringIO(), width=80, height=24)
    print_table(console, screen(status))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("status", [WELL, WORST], ids=["well", "worst"])
def test_it_fits_a_screen(status: StageStatus) -> None:
    lines = printed(status)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_a_stage_that_is_well_has_no_other_mark() -> None:
    assert {row.state for row in rows(WELL)} == {State.OK}
    text = " ".join(" ".join(printed(WELL)).split())
    for part in (
        "prod: account 123456789012, us-east-1",
        "Network, Observability, Scaling, Serving: UPDATE_COMPLETE",
        "InService since 2026-11-27 10:11",
        "2 of 2 ml.g5.xlarge, autoscaling 1 to 4",
        "500 published; resident: 12 in slots, 30.5 in memory, 31",
        "12,345 in the last hour, 0 errors",
        "none of 14 in ALARM",
        "2026-11-27-1a2b3c4: promotion, verified",
        "$2.82 an hour for the instances (on-demand, 2026-01)",
    ):
        assert part in text


def test_the_laptop_cloud_costs_nothing() -> None:
    assert WELL.cost is not None
    local = replace(WELL, cost=replace(WELL.cost, billed=False))
    [cost] = [row.text for row in rows(local) if row.title == "cost"]
    assert cost.startswith("nothing on this machine; in AWS $2.82 an hour")


def test_what_is_wrong_is_marked() -> None:
    marks = {row.title: row.state for row in rows(WORST)}
    assert {title for title, state in marks.items() if state is State.PROBLEM} == {
        "stacks",
        "endpoint",
        "alarms",
    }
    assert {title for title, state in marks.items() if state is State.WARNING} == {
        "instances", "requests", "hold", "deployment",
    }  # fmt: skip
    assert marks["cost"] is State.UNKNOWN


def test_an_alarms_name_is_without_the_endpoints_and_the_rest_is_counted() -> None:
    [alarms] = [row.text for row in rows(WORST) if row.title == "alarms"]
    assert alarms.startswith("in ALARM: an-alarm-with-a-long-name-0, ")
    assert "and 36 more, of 40" in alarms


def test_the_document_has_times_as_text_and_every_alarm() -> None:
    document = WORST.to_document()
    assert document["at"] == "2026-11-28T00:00:00+00:00"
    assert document["endpoint"]["changed"] == "2026-11-27T10:11:00+00:00"
    assert len(document["alarms"]["raised"]) == 40
