"""Flags that a stage passes to the engine's command line beyond the settings of this app.

An engine's parser takes a flag in several spellings (underscores, abbreviations, short names, `--flag=value`,
`--no-flag`). Here a flag has one name, its full one with dashes; every spelling is either resolved to it or
refused, and the command line has the full name. So a flag that is refused is refused in every spelling.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.closest import closest
from container.gateway.settings import SettingsError

#: The variable with the flags, a JSON object.
VARIABLE = "ENGINE_ARGUMENTS"

#: Forms of a flag: `--x` alone (switch); `--x` or `--no-x` (toggle); `--x=true` or `--x=false` (boolean);
#: `--x=value` (integer, number, text, json: an object as JSON); `--x a b` (integers, texts).
Form = Literal["switch", "toggle", "boolean", "integer", "number", "text", "json", "integers", "texts"]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of an engine's command line."""

    name: str
    """The full name, without the leading dashes."""
    form: Form
    choices: tuple[str, ...] = ()
    """The values that the engine takes; empty: all of its form."""
    fields: frozenset[str] | None = None
    """The fields of an object that may be set; None for all."""
    refusal: str | None = None
    """The remedy if the flag may not be passed on; None if it may."""


@dataclass(frozen=True, kw_only=True)
class FlagTable:
    """All flags of an engine."""

    engine: str
    """The engine's name and version in messages."""
    flags: Mapping[str, Flag]
    """By full name."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Full names by short name."""

    @property
    def allowed(self) -> list[str]:
        """The names of the flags that may be passed on."""
        return [flag.name for flag in self.flags.values() if flag.refusal is None]

    def find(self, given: str) -> Flag:
        """Return the flag that is written as `given`; raise `SettingsError` if it may not be passed on."""
        name = given.removeprefix("--").removeprefix("-").replace("_", "-")
        # Without a value after an equals sign, and without the field of an object after a dot.
        base = name.partition("=")[0].partition(".")[0]
        base = self.aliases.get(base, base)
        flag = self.flags.get(base) or self.flags.get(base.removeprefix("no-"))
        if flag is None:
            meant = closest(base, self.flags) or ": leave it out"
            raise refused(given, f"{self.engine} has no flag of this name{meant}")
        if flag.refusal is not None:
            raise refused(given, flag.refusal)
        if flag.name != base:
            raise refused(given, f"write {flag.name}: false")
        if name not in (flag.name, *self.aliases):
            value = "a map of its fields" if flag.form == "json" else "its value"
            raise refused(given, f"write {flag.name} as the key, and {value} after the colon")
        return flag


def refused(given: str, remedy: str) -> SettingsError:
    """Make the error about one flag."""
    return SettingsError(VARIABLE, given, remedy)


def command_line(arguments: Mapping[str, Any], table: FlagTable) -> tuple[str, ...]:
    """Return the words of the command line; raise `SettingsError` for the first flag that is refused.

    No value becomes a separate word that the engine could take for another flag.
    """
    words: list[str] = []
    names: dict[str, str] = {}
    for given, value in arguments.items():
        flag = table.find(given)
        if flag.name in names:
            raise refused(given, f"it is the same flag as {names[flag.name]}: leave one of them out")
        names[flag.name] = given
        words += _words(flag, value, given)
    return tuple(words)


def _words(flag: Flag, value: Any, given: str) -> Iterator[str]:
    match flag.form:
        case "switch":
            if value is not True:
                raise refused(given, "write true, or leave it out: without the flag it is off")
            yield f"--{flag.name}"
        case "toggle" | "boolean":
            if not isinstance(value, bool):
                raise refused(given, "write true or false")
            if flag.form == "boolean":
                yield f"--{flag.name}={str(value).lower()}"
            else:
                yield f"--{flag.name}" if value else f"--no-{flag.name}"
        case "json":
            yield f"--{flag.name}={_object(flag, value, given)}"
        case "integers" | "texts":
            if not isinstance(value, list) or not value:
                raise refused(given, "write a list of values, such as [1, 2]")
            items = [_text(flag, item, given) for item in value]
            if any(item.startswith("-") for item in items):
                raise refused(given, "a value of a list may not begin with a dash: it would be a flag")
            yield from (f"--{flag.name}", *items)
        case _:
            yield f"--{flag.name}={_text(flag, value, given)}"


def _text(flag: Flag, value: Any, given: str) -> str:
    """Format one value by the flag's form."""
    kind = flag.form.removesuffix("s")
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "integer" and not (number and isinstance(value, int)):
        raise refused(given, "give a whole number")
    if kind == "number" and not number:
        raise refused(given, "give a number")
    if kind == "text" and not (number or (isinstance(value, str) and value and value.isprintable())):
        raise refused(given, "give a text of one line that is not empty")
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    if flag.choices and text not in flag.choices:
        valid = ", ".join(flag.choices)
        raise refused(given, f"{text!r} is none of {valid}{closest(text, flag.choices)}")
    return text


def _object(flag: Flag, value: Any, given: str) -> str:
    if not isinstance(value, dict) or not value:
        raise refused(given, "write a map of its fields")
    unknown = [] if flag.fields is None else [name for name in value if name not in flag.fields]
    if unknown:
        valid = ", ".join(sorted(flag.fields or ()))
        raise refused(given, f"the field {unknown[0]!r} may not be set, only {valid}")
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise refused(given, "a number of it is not finite") from None
