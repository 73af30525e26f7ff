"""Cron expressions of scheduled actions: `cron(minute hour day-of-month month day-of-week year)`.

Sources: "Schedule recurring scaling actions using cron expressions" (Application Auto Scaling's user guide)
and, for the characters of each field, "Cron expressions reference" (Amazon EventBridge's user guide). Neither
says when an action is due whose local time is skipped or repeated by a change to or from summer time. It is
assumed to be due by the offset before the change: a skipped 02:30 at 03:30, a repeated one the first time.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from typing import Final

_CRON = re.compile(r"cron\((\S+ ){5}\S+\)")


@dataclass(frozen=True, kw_only=True)
class _Field:
    name: str
    first: int
    last: int
    names: str = ""
    """Names of the numbers from `first` on."""
    further: str = r"(?!)"
    """Pattern of the items that stand for days of one month; `N` is a number of the field."""


_MINUTE = _Field(name="minute", first=0, last=59)
_HOUR = _Field(name="hour", first=0, last=23)
_DAY_OF_MONTH = _Field(name="day of month", first=1, last=31, further=r"\?|L|LW|(?P<N>\w+)W")
_MONTH = _Field(name="month", first=1, last=12, names="JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
_DAY_OF_WEEK = _Field(
    name="day of week",
    first=1,
    last=7,
    names="SUN MON TUE WED THU FRI SAT",
    further=r"\?|L|(?P<N>\w+?)(?:L|#[1-5])",
)
_YEAR = _Field(name="year", first=1970, last=2199)
_FIELDS: Final = (_MINUTE, _HOUR, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK, _YEAR)


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A parsed expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    days_of_month: tuple[str, ...]
    """Items of the field; `?` if the days of the week count."""
    days_of_week: tuple[str, ...]
    """Items of the field; `?` if the days of the month count."""


def parse_cron(text: str) -> Cron:
    """Parse `cron(…)`.

    Raises:
        ValueError: it is not such an expression; the message says what to write.
    """
    if _CRON.fullmatch(text) is None:
        raise ValueError("write six fields, e.g. cron(0 7 ? * MON-FRI *)")
    parts = text.removeprefix("cron(").removesuffix(")").split(" ")
    items = [tuple(part.split(",")) for part in parts]
    for each, field in zip(items, _FIELDS, strict=True):
        for item in each:
            if _numbers(item, field) is None and not _is_further(item, field):
                raise ValueError(
                    f"{item!r} is no {field.name}, which has the numbers {field.first} to {field.last}"
                )
    if (parts[2] == "?") == (parts[4] == "?"):
        raise ValueError(
            "exactly one of day of month (third field) and day of week (fifth) must be ?: change one"
        )
    return Cron(
        minutes=tuple(sorted(_all_numbers(items[0], _MINUTE))),
        hours=tuple(sorted(_all_numbers(items[1], _HOUR))),
        months=frozenset(_all_numbers(items[3], _MONTH)),
        years=frozenset(_all_numbers(items[5], _YEAR)),
        days_of_month=items[2],
        days_of_week=items[4],
    )


def next_time(cron: Cron, after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first time after `after` at which the expression is due, in UTC; None if there is none.

    Args:
        cron: the expression.
        after: a time with a time zone.
        zone: the time zone of the expression.
    """
    for day in _days_from(cron, after.astimezone(zone).date()):
        for hour in cron.hours:
            for minute in cron.minutes:
                # The offset of a local time is that before a change, as long as `fold` is 0.
                due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
                if due > after:
                    return due
    return None


def _days_from(cron: Cron, first: date) -> Iterator[date]:
    """Yield the days of the expression in their order, from `first` on."""
    for year in sorted(cron.years):
        for month in sorted(cron.months):
            if (year, month) < (first.year, first.month):
                continue
            for day in sorted(_days(cron, year, month)):
                if date(year, month, day) >= first:
                    yield date(year, month, day)


def _days(cron: Cron, year: int, month: int) -> set[int]:
    """Return the days of a month on which the expression is due."""
    last = calendar.monthrange(year, month)[1]
    days: set[int] = set()
    for item in cron.days_of_month:
        if numbers := _numbers(item, _DAY_OF_MONTH):
            days |= {day for day in numbers if day <= last}
        elif item == "L":
            days.add(last)
        elif item == "LW":
            days.add(_nearest_workday(year, month, last))
        elif item != "?" and (day := int(item.removesuffix("W"))) <= last:
            days.add(_nearest_workday(year, month, day))
    for item in cron.days_of_week:
        if numbers := _numbers(item, _DAY_OF_WEEK):
            days |= {day for day in range(1, last + 1) if _weekday(year, month, day) in numbers}
        elif item == "L":
            # The last day of the week is a Saturday.
            days |= {day for day in range(1, last + 1) if _weekday(year, month, day) == _DAY_OF_WEEK.last}
        elif item != "?":
            name, _, nth = item.removesuffix("L").partition("#")
            number = _known(_DAY_OF_WEEK)[name]
            same = [day for day in range(1, last + 1) if _weekday(year, month, day) == number]
            days |= set(same[int(nth) - 1 :][:1] if nth else same[-1:])
    return days


def _weekday(year: int, month: int, day: int) -> int:
    """Return the number of the day of the week, 1 for Sunday."""
    return date(year, month, day).isoweekday() % 7 + 1


def _nearest_workday(year: int, month: int, day: int) -> int:
    """Return the day from Monday to Friday that is nearest to `day` and in the same month."""
    last = calendar.monthrange(year, month)[1]
    for distance in (0, -1, 1, -2, 2):
        if 1 <= day + distance <= last and date(year, month, day + distance).isoweekday() <= 5:
            return day + distance
    raise AssertionError("a month has a weekday in every five days")


def _all_numbers(items: tuple[str, ...], field: _Field) -> set[int]:
    return {number for item in items for number in _numbers(item, field) or ()}


def _numbers(item: str, field: _Field) -> set[int] | None:
    """Return the numbers of `*`, `7`, `MON-FRI`, `0/15` or `8-18/2`; None for anything else.

    A range whose end is before its start goes over the end of the field: `FRI-MON` has four days.
    """
    bounds, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return None
    known = _known(field)
    start, dash, end = bounds.partition("-")
    if bounds == "*":
        first, last = field.first, field.last
    elif start not in known or (dash and end not in known):
        return None
    else:
        first = known[start]
        last = known[end] if dash else field.last if slash else first
    size = field.last - field.first + 1
    span = (last - first) % size if dash else last - first
    return {
        field.first + (first - field.first + offset) % size
        for offset in range(0, span + 1, int(step) if slash else 1)
    }


def _is_further(item: str, field: _Field) -> bool:
    """Return whether the item is one of those that only the days of a month have."""
    match = re.fullmatch(field.further, item)
    if match is None:
        return False
    number = match.groupdict().get("N")
    return number is None or number in _known(field)


@cache
def _known(field: _Field) -> dict[str, int]:
    """Return the numbers of a field by how they may be written."""
    known = {str(number): number for number in range(field.first, field.last + 1)}
    return known | {name: field.first + position for position, name in enumerate(field.names.split())}
