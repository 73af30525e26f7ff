"""Encoder of `application/vnd.amazon.eventstream` messages, which botocore only decodes.

A message is a prelude (total length, headers length, CRC-32 of both), headers, a payload and a CRC-32 of
all before it, with numbers in network order. A header is its name's length (one byte), the name, a type
(7, a string), the value's length (two bytes) and the value. Source: botocore/eventstream.py, and the
event stream encoding page of Amazon Transcribe's developer guide.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32

_STRING = 7
_PRELUDE_AND_CRCS = 16


def payload_part(data: bytes) -> bytes:
    """Return a PayloadPart event with a chunk of the container's response."""
    headers = _PAYLOAD_PART_HEADERS
    return _message(headers, data)


def stream_exception(name: str, members: dict[str, str]) -> bytes:
    """Return an exception event, such as ModelStreamError; it is the stream's last."""
    headers = _headers(
        {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    )
    return _message(headers, json.dumps(members).encode())


def _headers(values: dict[str, str]) -> bytes:
    return b"".join(
        struct.pack(
            f"!B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode()
        )
        for name, value in values.items()
    )


def _message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", _PRELUDE_AND_CRCS + len(headers) + len(payload), len(headers))
    message = b"".join((prelude, struct.pack("!I", crc32(prelude)), headers, payload))
    return message + struct.pack("!I", crc32(message))


_PAYLOAD_PART_HEADERS = _headers(
    {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
)
