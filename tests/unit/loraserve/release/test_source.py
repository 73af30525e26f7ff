"""The commit of a release."""

import os
from pathlib import Path

import pytest

from loraserve.release.source import head, repository, uncommitted, without_user
from loraserve.review import revisions
from tests.unit.loraserve.review.repository import commit, git


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "repository"
    (folder / "stages").mkdir(parents=True)
    (folder / "stages" / "dev.yaml").write_text("")
    git(folder, "init", "--quiet", "--initial-branch=main")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-11-27T23:30:00-0200")
    commit(folder, model="VALUE = 1\n")
    monkeypatch.setattr(revisions, "ROOT", folder)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    return folder


def test_the_id_is_the_commits_day_in_utc_and_its_hash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    found = head()
    assert found.hash == git(root, "rev-parse", "HEAD")
    assert found.release == f"2026-11-28-{found.hash[:7]}"
    assert found.committed.isoformat() == "2026-11-28T01:30:00+00:00"


def test_changes_of_the_app_are_uncommitted(root: Path) -> None:
    assert list(uncommitted()) == []
    (root / "model.py").write_text("VALUE = 2\n")
    (root / "stages" / "prod.yaml").write_text("")
    (root / "log.txt").write_text("of the pipeline")
    (root / "results").mkdir()
    (root / "results" / "tests.xml").write_text("of the pipeline")
    assert list(uncommitted()) == ["model.py", "stages/prod.yaml"]
    git(root, "add", "log.txt")
    assert list(uncommitted()) == ["log.txt", "model.py", "stages/prod.yaml"]


def test_the_repository_is_named_without_credentials(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert repository() is None
    git(root, "remote", "add", "origin", "https://x-access-token:ghs_secret@github.com/acme/serving.git")
    assert repository() == "https://github.com/acme/serving.git"
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/serving")
    assert repository() == "acme/serving"
    assert os.environ["GITHUB_REPOSITORY"]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://github.com/acme/serving", "https://github.com/acme/serving"),
        ("https://token@host:8443/acme/serving.git?private_token=secret#x", "https://host:8443/acme/serving.git"),
        ("ssh://git:secret@host:2222/acme/serving.git", "ssh://host:2222/acme/serving.git"),
        ("git@github.com:acme/serving.git", "github.com:acme/serving.git"),
        ("host:serving.git", "host:serving.git"),
        ("/home/me/serving", None),
        ("../serving", None),
        ("file:///home/me/serving", None),
    ],
)  # fmt: skip
def test_an_address_without_user(address: str, named: str | None) -> None:
    assert without_user(address) == named
