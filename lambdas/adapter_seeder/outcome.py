"""The outcome of a seeding: a report, or the failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from adapters.errors import AdapterError
from adapters.validation.base_model import InvalidBaseModel
from lambdas.adapter_seeder.removals import ALLOW_REMOVALS, Removal

#: Bytes of the failure message. CloudFormation accepts 4 kB as a custom resource's whole response.
MAX_MESSAGE_BYTES = 2500
#: Names of adapters to be removed that the failure message has; a name has 200 characters at most.
_NAMED = 10


class SeedingFailed(Exception):
    """The base model or an adapter cannot be served; the message lists each with reason and remedy."""

    def __init__(self, errors: Sequence[AdapterError], report: str) -> None:
        """List as many as fit into CloudFormation's response; `report` is the S3 URI of the full list."""
        text = "\n".join(_lines(errors, report)).encode()
        cut = text[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"
        super().__init__(text.decode() if len(text) <= MAX_MESSAGE_BYTES else cut)
        self.errors = errors


def _lines(errors: Sequence[AdapterError], report: str) -> list[str]:
    first = errors[0]
    if isinstance(first, Removal):
        return [
            f"{first.removed} of {first.published} published adapters are not in the manifest: "
            f"{_names(errors)}; nothing was changed. All of them: {report}",
            f"List them again or, if they are to be removed, {ALLOW_REMOVALS}",
        ]
    if all(isinstance(error, InvalidBaseModel) for error in errors):
        head = f"the base model cannot be served; nothing was changed. Report: {report}"
    else:
        head = f"{len(errors)} adapter(s) cannot be published; nothing was changed. All of them: {report}"
    return [head, *map(str, errors)]


def _names(errors: Sequence[AdapterError]) -> str:
    names = ", ".join(error.adapter for error in errors[:_NAMED])
    return names if len(errors) <= _NAMED else f"{names} and {len(errors) - _NAMED} more"


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
