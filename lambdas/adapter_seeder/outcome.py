"""The outcome of a seeding: a report, or the failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from adapters.errors import AdapterError
from adapters.validation.base_model import InvalidBaseModel

#: Bytes of the failure message. CloudFormation accepts 4 kB as a custom resource's whole response.
MAX_MESSAGE_BYTES = 2500


class SeedingFailed(Exception):
    """The base model or an adapter cannot be served; the message lists each with reason and remedy."""

    def __init__(self, errors: Sequence[AdapterError], report: str) -> None:
        """List as many as fit into CloudFormation's response; `report` is the S3 URI of the full list."""
        if all(isinstance(error, InvalidBaseModel) for error in errors):
            head = f"the base model cannot be served; nothing was changed. Report: {report}"
        else:
            head = f"{len(errors)} adapter(s) cannot be published; nothing was changed. All of them: {report}"
        text = "\n".join([head, *map(str, errors)]).encode()
        cut = text[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"
        super().__init__(text.decode() if len(text) <= MAX_MESSAGE_BYTES else cut)
        self.errors = errors


@dataclass(frozen=True)
class Report:
    """The figures of a completed seeding."""

    adapters: int
    """Names in the manifest."""
    published: int
    """Registry entries written."""
    unpublished: int
    """Registry entries removed."""
    bytes_moved: int
    """Bytes that this invocation uploaded; copies inside S3 do not count."""

    def to_json(self) -> str:
        """Return one log line."""
        return json.dumps({"seeded": asdict(self)})
