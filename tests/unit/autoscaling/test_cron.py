"""Cron expressions of scheduled actions."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from autoscaling.cron import next_time, parse_cron


def _next(cron: str, after: str, zone: str = "UTC") -> str | None:
    due = next_time(parse_cron(cron), datetime.fromisoformat(after).replace(tzinfo=UTC), ZoneInfo(zone))
    return due.strftime("%a %Y-%m-%d %H:%M") if due else None


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        # The table of Application Auto Scaling's user guide.
        ("cron(0 10 * * ? *)", "2026-07-01T10:00", "Thu 2026-07-02 10:00"),
        ("cron(15 12 * * ? *)", "2026-07-01T10:00", "Wed 2026-07-01 12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-07-03T18:00", "Mon 2026-07-06 18:00"),
        ("cron(0 8 1 * ? *)", "2026-07-01T09:00", "Sat 2026-08-01 08:00"),
        ("cron(0/15 * * * ? *)", "2026-07-01T10:14:59", "Wed 2026-07-01 10:15"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-07-03T23:55", "Mon 2026-07-06 00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-07-03T17:55", "Mon 2026-07-06 08:00"),
        # EventBridge's reference.
        ("cron(0 0 L * ? *)", "2028-02-01T00:00", "Tue 2028-02-29 00:00"),
        ("cron(0 0 LW * ? *)", "2026-05-01T00:00", "Fri 2026-05-29 00:00"),
        ("cron(0 0 1W * ? *)", "2026-08-01T00:00", "Mon 2026-08-03 00:00"),
        ("cron(0 0 15W * ? *)", "2026-08-01T00:00", "Fri 2026-08-14 00:00"),
        ("cron(0 0 ? * 3#2 *)", "2026-07-01T00:00", "Tue 2026-07-14 00:00"),
        ("cron(0 0 ? * FRIL *)", "2026-07-01T00:00", "Fri 2026-07-31 00:00"),
        ("cron(0 0 ? * L *)", "2026-07-01T00:00", "Sat 2026-07-04 00:00"),
        ("cron(0 0 ? * FRI-MON *)", "2026-07-01T00:00", "Fri 2026-07-03 00:00"),
        ("cron(0 22-2/2 * * ? *)", "2026-07-01T22:00", "Thu 2026-07-02 00:00"),
        ("cron(30 6 29 FEB ? *)", "2026-07-01T00:00", "Tue 2028-02-29 06:30"),
        ("cron(0 0 1 1 ? 2030-2031)", "2026-07-01T00:00", "Tue 2030-01-01 00:00"),
        ("cron(0 0 1 1 ? 2025)", "2026-07-01T00:00", None),
        ("cron(0 0 30 2 ? *)", "2026-07-01T00:00", None),
    ],
)
def test_an_expression_is_due_at_its_next_time(cron: str, after: str, due: str | None) -> None:
    assert _next(cron, after) == due


def test_the_time_zone_moves_with_summer_time() -> None:
    assert _next("cron(0 7 * * ? *)", "2026-07-01T00:00", "Europe/Berlin") == "Wed 2026-07-01 05:00"
    assert _next("cron(0 7 * * ? *)", "2026-12-01T00:00", "Europe/Berlin") == "Tue 2026-12-01 06:00"


def test_a_skipped_time_is_due_after_the_change_and_a_repeated_one_once() -> None:
    # Berlin: 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
    assert _next("cron(30 2 * * ? *)", "2026-03-29T00:00", "Europe/Berlin") == "Sun 2026-03-29 01:30"
    assert _next("cron(30 2 * * ? *)", "2026-10-25T00:00", "Europe/Berlin") == "Sun 2026-10-25 00:30"
    assert _next("cron(30 2 * * ? *)", "2026-10-25T00:30", "Europe/Berlin") == "Mon 2026-10-26 01:30"


@pytest.mark.parametrize("item", ["99W", "8#2", "MON#6", "1/0", "5/", "WEDW", "L-3"])
def test_a_day_that_no_month_has_is_refused(item: str) -> None:
    place = 2 if item.endswith("W") or item == "L-3" else 4
    fields = ["0", "7", "?", "*", "?", "*"]
    fields[place] = item
    with pytest.raises(ValueError, match="is no day of"):
        parse_cron(f"cron({' '.join(fields)})")
