"""Parsing of a request by axum's `Json` extractor and serde, before LoRAX's code; refusals are plain text.

Statuses and texts are those of axum 0.7.7 (src/extract/rejection.rs) and serde. The place that serde adds,
" at line 1 column 7", is left out.
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import web

#: axum's default for a body.
MAX_BODY_BYTES = 2 * 1024 * 1024

#: Reads one JSON value into what the schema wants; raises `Mismatch`.
Reader = Callable[[Any], Any]
#: A field without a default.
REQUIRED = object()
#: A struct's fields: reader and default. Fields that are not listed are ignored.
Fields = Mapping[str, tuple[Reader, Any]]


class Rejection(Exception):
    """A refusal in plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Mismatch(ValueError):
    """A value of the wrong type, and where it is."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path

    def below(self, part: str) -> "Mismatch":
        return Mismatch(str(self), part + ("" if self.path[:1] in ("", "[") else ".") + self.path)


async def read_json(http: web.Request, reader: Reader) -> Any:
    """Return the request's body, read by `reader`; raises `Rejection`."""
    kind = http.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Rejection(415, "Expected request with `Content-Type: application/json`")
    try:
        body = await http.read()
    except web.HTTPRequestEntityTooLarge:
        raise Rejection(413, "Failed to buffer the request body: length limit exceeded") from None
    try:
        value = json.loads(body.decode(), parse_constant=_not_a_number)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates, which serde refuses
    except ValueError as error:
        raise Rejection(400, f"Failed to parse the request body as JSON: {error}") from None
    try:
        return reader(value)
    except Mismatch as error:
        where = f"{error.path}: " if error.path else ""
        text = f"Failed to deserialize the JSON body into the target type: {where}{error}"
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, text) from None


def string(value: Any) -> str:
    return value if isinstance(value, str) else _invalid(value, "a string")


def boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _invalid(value, "a boolean")


def f32(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else _invalid(value, "f32")


def whole(name: str, lowest: int, highest: int) -> Reader:
    """An integer type of Rust's."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            _invalid(value, name)
        if not lowest <= value <= highest:
            raise Mismatch(f"invalid value: integer `{value}`, expected {name}")
        return int(value)

    return read


usize = whole("usize", 0, 2**64 - 1)
u64 = whole("u64", 0, 2**64 - 1)
u32 = whole("u32", 0, 2**32 - 1)
i32 = whole("i32", -(2**31), 2**31 - 1)


def anything(value: Any) -> Any:
    return value


def optional(reader: Reader) -> Reader:
    """`Option`: null is nothing."""
    return lambda value: None if value is None else reader(value)


def sequence(reader: Reader) -> Reader:
    """`Vec`."""

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            _invalid(value, "a sequence")
        found = []
        for index, each in enumerate(value):
            try:
                found.append(reader(each))
            except Mismatch as error:
                raise error.below(f"[{index}]") from None
        return found

    return read


def struct(make: Callable[..., Any], fields: Fields) -> Reader:
    """A struct: `make` gets the fields by name."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            _invalid(value, f"struct {getattr(make, '__name__', 'map')}")
        found = {}
        for name, (reader, default) in fields.items():
            if name not in value:
                if default is REQUIRED:
                    raise Mismatch(f"missing field `{name}`")
                found[name] = default
                continue
            try:
                found[name] = reader(value[name])
            except Mismatch as error:
                raise error.below(name) from None
        return make(**found)

    return read


def _invalid(value: Any, expected: str) -> NoReturn:
    names: dict[type, str] = {
        type(None): "null",
        bool: f"boolean `{json.dumps(value)}`" if isinstance(value, bool) else "",
        int: f"integer `{value}`",
        float: f"floating point `{value}`",
        str: f"string {json.dumps(value, ensure_ascii=False)}" if isinstance(value, str) else "",
        list: "sequence",
        dict: "map",
    }
    raise Mismatch(f"invalid type: {names[type(value)]}, expected {expected}")


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"expected value, not {text}")
