"""Access in words: placeholders become the paths of constructs, rights become lines grouped by service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from loraserve.review.access.conditions import lower
from loraserve.review.access.coverage import Right
from loraserve.review.access.holders import ATTACHED_POLICY, Holder, Sort
from loraserve.review.access.statements import EVERYBODY, ITSELF
from loraserve.review.assembly import Stack, Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.finding import MAX_TITLE

#: An action in a template, in the case that it is written in.
_ACTION = re.compile(r'"([a-z0-9-]+:[A-Za-z0-9*?]+)"')
_OF_STAGE = re.compile(r"<([A-Za-z0-9-]+)/([A-Za-z0-9:]+)(\.[A-Za-z0-9.]+)?>")
#: Parts of a construct's path that say nothing to a reader.
_GENERIC = re.compile(r"/(Resource|DefaultPolicy|ServiceRole)\b")


class Words:
    """Names of a stage's resources as a reviewer knows them."""

    def __init__(self, change: StageComparison) -> None:
        """Read construct paths and actions of both sides."""
        self._paths: Mapping[tuple[str, str], str] = {
            (stack.name, logical_id): _path(resource, logical_id, stack.name, change.id)
            for stage in (change.before, change.after)
            for stack in _stacks(stage)
            for logical_id, resource in stack.resources.items()
        }

        self._actions = {
            lower(action): action
            for stage in (change.before, change.after)
            for stack in _stacks(stage)
            for action in _ACTION.findall(json.dumps(stack.template))
        }

    def text(self, text: str) -> str:
        """Replace placeholders, e.g. by `AdapterStore/Bucket`."""
        found = _OF_STAGE.sub(lambda part: self._paths.get((part[1], part[2]), f"{part[1]}/{part[2]}"), text)
        return (
            found.replace("<account>", "this account")
            .replace("<region>", "this region")
            .replace("<lt;>", "<")
        )

    def holder(self, holder: Holder) -> str:
        """Name a holder."""
        kind = holder.type.rpartition("::")[2]
        words = {
            "Role": "role", "User": "user", "Group": "group", "ManagedPolicy": "the holders of",
            "Policy": "the holders of", "BucketPolicy": "bucket", "TopicPolicy": "topic", "Key": "key",
            "Permission": "function", "VPCEndpoint": "VPC endpoint",
        }  # fmt: skip
        return f"{words.get(kind, kind)} {self.text(holder.name)}"

    def principal(self, principal: str) -> str:
        """Name a principal."""
        if principal == EVERYBODY:
            return "anyone"
        return self.text(re.sub(r"^(AWS|Service|Federated|CanonicalUser):", "", principal))

    def subject(self, right: Right, holder: Holder) -> str:
        """Name those who have a right."""
        if right.principal.patterns == {ITSELF}:
            return self.holder(holder)
        names = ", ".join(sorted(map(self.principal, right.principal.patterns)))
        return f"anyone but {names}" if right.principal.negated else names

    def object(self, right: Right, holder: Holder) -> str:
        """Name that which a right is about."""
        if holder.sort in (Sort.TRUST, Sort.RESOURCE) and right.resource.patterns <= {ITSELF, "*"}:
            return self.holder(holder)
        return self.text(str(right.resource))

    def lines(self, rights: Iterable[Right], holder: Holder) -> tuple[str, ...]:
        """Return a line for each right, sorted by service."""
        return tuple(sorted({self._line(each, holder) for each in rights}))

    def action(self, right: Right) -> str:
        """Name a right's action."""
        text = ", ".join(self._actions.get(each, each) for each in sorted(right.action.patterns))
        return f"everything but {text}" if right.action.negated else text

    def _line(self, right: Right, holder: Holder) -> str:
        if right.action.patterns == {ATTACHED_POLICY}:
            return f"all that {self.object(right, holder)} allows"
        action = self.action(right)
        service, colon, name = action.partition(":")
        if colon and not right.action.negated and not right.is_opaque:
            action = f"{service}: {name}"
        line = f"{action} on {self.object(right, holder)}"
        if right.principal.patterns != {ITSELF}:
            line += f" for {self.subject(right, holder)}"
        if right.conditions:
            line += f" if {' and '.join(sorted(self.text(str(each)) for each in right.conditions))}"
        return line


def title(*candidates: str) -> str:
    """Return the first candidate that is short enough; the last one is cut."""
    fitting = next((each for each in candidates if len(each) <= MAX_TITLE), None)
    return fitting if fitting is not None else candidates[-1][: MAX_TITLE - 1] + "…"


def _stacks(stage: Stage | None) -> list[Stack]:
    return [] if stage is None else list(stage.stacks.values())


def _path(resource: Mapping[str, object], logical_id: str, stack: str, stage: str) -> str:
    metadata = resource.get("Metadata")
    path = metadata.get("aws:cdk:path") if isinstance(metadata, dict) else None
    if not isinstance(path, str):
        return f"{stack}/{logical_id}"
    return _GENERIC.sub("", path).removeprefix(f"{stage}/")
