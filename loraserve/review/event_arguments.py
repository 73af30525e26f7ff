"""Arguments of `loraserve review` for the event that started a GitHub workflow.

Acceptance comes from the labels `accept-CATEGORY` of the pull request, as the event's payload has them: no
token is needed. A payload cannot say when a label was set, and acceptance is of the content that was seen. So
the labels count in a run that such a label itself started, by being set or removed. In any other run, e.g.
after a push, or if a bot sets its label right after a push, none of them counts.

A merge queue's payload has no labels. Its pull requests have passed the check with their acceptance, so
findings are shown there and do not fail the check.

Standard library only. Payloads: https://docs.github.com/en/webhooks/webhook-events-and-payloads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loraserve.review.finding import CATEGORIES

#: What the names of these labels begin with.
ACCEPT = "accept-"


def accepted_category(label: str) -> str | None:
    """Return the category that a label accepts; None for any other label."""
    category = label.removeprefix(ACCEPT)
    return category if label.startswith(ACCEPT) and category in CATEGORIES else None


def arguments(event: Mapping[str, Any]) -> list[str]:
    """Return the arguments for a payload. They are fixed words only: make and a shell read them."""
    if "merge_group" in event:
        return ["--fail-on", "never"]
    # The label that was set or removed; none where it was deleted from the repository.
    label = event.get("label") or {"name": ""}
    if event["action"] not in ("labeled", "unlabeled") or not label["name"].startswith(ACCEPT):
        return []
    found = {accepted_category(label["name"]) for label in event["pull_request"]["labels"]}
    return [word for category in CATEGORIES if category in found for word in ("--accept", category)]


if __name__ == "__main__":
    print(*arguments(json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())))
