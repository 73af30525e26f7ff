"""The order of releases, in the history of a repository."""

from pathlib import Path

import pytest

from loraserve.finding import State
from loraserve.promotion.checks.order import check_order, commits_since
from loraserve.release.record import DeploymentRecord
from tests.unit.loraserve.promotion.records import record, release
from tests.unit.loraserve.review.repository import git


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A repository with commits: base, then first and second on main, and side beside them."""
    folder = tmp_path_factory.mktemp("history")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commits = {}
    for name in ("base", "first", "second"):
        git(folder, "commit", "--quiet", "--allow-empty", "--message", name)
        commits[name] = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "checkout", "--quiet", "-b", "side", commits["base"])
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "side")
    commits["side"] = git(folder, "rev-parse", "HEAD").strip()
    return folder, commits | {"unknown": "f" * 40}


@pytest.mark.parametrize(
    ("deployed", "wanted", "state", "text"),
    [
        ("base", "second", State.OK, "commits since then: 2"),
        ("second", "second", State.OK, "the same commit"),
        ("second", "first", State.PROBLEM, "would be a rollback"),
        ("side", "second", State.PROBLEM, "does not contain that commit"),
        ("unknown", "second", State.PROBLEM, "has no commit ffff"),
        ("second", "unknown", State.PROBLEM, "has no commit ffff"),
    ],
)
def test_only_a_descendant_is_promoted(
    history: tuple[Path, dict[str, str]], deployed: str, wanted: str, state: State, text: str
) -> None:
    folder, commits = history
    [finding] = check_order(release(commits[wanted]), record(commit=commits[deployed]), folder)
    assert finding.state is state and text in finding.found
    assert bool(finding.remedy) is (state is State.PROBLEM)


def test_an_older_release_is_deployed_by_a_rollback_of_that_name(
    history: tuple[Path, dict[str, str]],
) -> None:
    folder, commits = history
    [finding] = check_order(release(commits["base"]), record(commit=commits["first"]), folder)
    assert f"make rollback STAGE=staging ARGS='--to 2026-11-27-{commits['base'][:7]}'" in finding.remedy


@pytest.mark.parametrize(
    ("current", "subjects"), [(None, []), ("base", ["second", "first"]), ("unknown", [])]
)
def test_the_commits_of_a_promotion(
    history: tuple[Path, dict[str, str]], current: str | None, subjects: list[str]
) -> None:
    folder, commits = history
    known: DeploymentRecord | None = None if current is None else record(commit=commits[current])
    found = commits_since(release(commits["second"]), known, folder)
    assert [line.partition(" ")[2] for line in found] == subjects


def test_the_first_recorded_deployment_has_no_order(tmp_path: Path) -> None:
    [finding] = check_order(release(), None, tmp_path)
    assert finding.state is State.OK
