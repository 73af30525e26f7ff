"""Arguments of a review from the payloads of GitHub's events."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loraserve.review.event_arguments import accepted_category, arguments
from loraserve.review.finding import CATEGORIES
from stacks.project import ROOT


def event(action: str, label: str | None = None, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of `pull_request` that count, as in octokit/webhooks' payload-examples."""
    found: dict[str, Any] = {
        "action": action,
        "pull_request": {"labels": [{"name": each} for each in labels]},
    }
    return found if label is None else found | {"label": {"name": label}}


LOSS = ["--accept", "loss"]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (event("labeled", "accept-loss", ("bug", "accept-loss")), LOSS),
        (
            event("labeled", "accept-access", ("accept-access", "accept-loss")),
            [*LOSS, "--accept", "access"],
        ),
        (event("unlabeled", "accept-access", ("accept-loss",)), LOSS),
        (event("unlabeled", "accept-loss", ()), []),
        # After a push the label is of content that was seen earlier.
        (event("synchronize", labels=("accept-loss",)), []),
        (event("reopened", labels=("accept-loss",)), []),
        (event("opened", labels=("accept-loss",)), []),
        (event("edited", labels=("accept-loss",)), []),
        # A bot sets its label right after a push.
        (event("labeled", "size/L", ("accept-loss", "size/L")), []),
        # A label that was deleted from the repository.
        (event("unlabeled", None, ("accept-loss",)), []),
        (event("labeled", "accept-loss $(id)", ("accept-loss $(id)", "accept-", "Accept-loss")), []),
        ({"action": "checks_requested", "merge_group": {"base_sha": "0" * 40}}, ["--fail-on", "never"]),
    ],
)
def test_only_a_run_that_a_label_of_acceptance_started_accepts(
    payload: dict[str, Any], expected: list[str]
) -> None:
    assert sorted(arguments(payload)) == sorted(expected)


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_has_a_label(category: str) -> None:
    assert accepted_category(f"accept-{category}") == category
    assert accepted_category(category) is None


def test_it_runs_on_a_python_without_packages(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event("labeled", "accept-loss", ("accept-loss",))))
    done = subprocess.run(
        # -I -S: no packages, no variables of Python.
        [
            sys.executable,
            *("-I", "-S", "-c"),
            "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
            "runpy.run_module('loraserve.review.event_arguments', run_name='__main__')",
            ROOT,
        ],
        env={**os.environ, "GITHUB_EVENT_PATH": str(file)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "--accept loss\n"
