"""The base and the head of a comparison, in small repositories."""

import json
import os
from pathlib import Path

import pytest

from loraserve.review import revisions
from loraserve.review.revisions import GitRevision, RevisionError, base_revision, export, head_revision
from tests.unit.loraserve.review.repository import commit, git, write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit on `main`; no workflow runs."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, model="VALUE = 1\n")
    monkeypatch.setattr(revisions, "ROOT", folder)
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    return folder


def workflow(monkeypatch: pytest.MonkeyPatch, event: str, **variables: str) -> None:
    for name, value in {"ACTIONS": "true", "EVENT_NAME": event, **variables}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)


def test_without_a_repository_the_error_is_gits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "ROOT", root.parent)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(root.parent.parent))
    with pytest.raises(RevisionError, match="not a git repository.*run the command in a clone"):
        base_revision("HEAD")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RevisionError, match="install git"):
        base_revision(None)


def branched(root: Path) -> tuple[str, str, str]:
    """A branch, checked out, whose `main` moved on; return the fork's commit, main's and the branch's."""
    fork = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "--quiet", "-b", "branch")
    branch = commit(root, model="VALUE = 2\n")
    git(root, "checkout", "--quiet", "main")
    main = commit(root, other="VALUE = 3\n")
    git(root, "checkout", "--quiet", "branch")
    return fork, main, branch


def test_the_base_is_the_merge_base_with_main_which_moved_on(root: Path) -> None:
    fork, _, _ = branched(root)
    assert base_revision(None) == GitRevision("merge base with main", fork)


def test_the_remotes_main_comes_before_the_local_one(root: Path) -> None:
    fork, main, _ = branched(root)
    git(root, "merge", "--quiet", "--no-edit", "main")
    git(root, "update-ref", "refs/remotes/origin/main", fork)
    assert base_revision(None) == GitRevision("origin/main", fork)
    assert base_revision("main") == GitRevision("main", main)


def test_of_a_given_revision_the_merge_base_counts_and_an_ancestor_is_its_own(root: Path) -> None:
    fork, main, branch = branched(root)
    assert base_revision(main) == GitRevision(f"merge base with {main}", fork)
    assert base_revision("HEAD") == GitRevision("HEAD", branch)
    assert base_revision("HEAD~1") == GitRevision("HEAD~1", fork)


@pytest.mark.parametrize("given", ["no-such-branch", "--help", ""])
def test_an_unknown_revision_is_reported(root: Path, given: str) -> None:
    with pytest.raises(RevisionError, match=f"no revision '{given}'; name a revision with BASE=…"):
        base_revision(given)


def test_without_main_a_revision_is_asked_for(root: Path) -> None:
    git(root, "branch", "--quiet", "--move", "trunk")
    with pytest.raises(RevisionError, match="neither origin/main nor main; name a revision with BASE=…"):
        base_revision(None)


def test_a_shallow_clone_says_that_it_lacks_the_merge_base(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branched(root)
    shallow = tmp_path / "shallow"
    git(
        tmp_path,
        "clone",
        "--quiet",
        "--depth=1",
        "--no-single-branch",
        "--branch=branch",
        root.as_uri(),
        str(shallow),
    )
    monkeypatch.setattr(revisions, "ROOT", shallow)
    with pytest.raises(RevisionError, match="no commit in common in this clone; fetch its whole history"):
        base_revision(None)


def test_outside_of_a_repository_the_remedy_is_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "ROOT", tmp_path)
    with pytest.raises(RevisionError, match="run the command in a clone"):
        head_revision()


def test_the_head_is_the_working_tree(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    assert head_revision() == GitRevision("working tree", head)
    write(root, {"new.py": ""})
    assert head_revision() == GitRevision("working tree with uncommitted changes", head)


def test_a_pull_requests_merge_commit_is_compared_with_its_first_parent(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, main, branch = branched(root)
    git(root, "checkout", "--quiet", "--detach", "main")
    git(root, "merge", "--quiet", "--no-ff", "--no-edit", "branch")
    workflow(monkeypatch, "pull_request", SHA=git(root, "rev-parse", "HEAD"), BASE_REF="main")
    assert base_revision(None) == GitRevision("main", main)
    assert head_revision() == GitRevision("merged into main", branch)


def test_a_branch_that_ends_with_a_merge_is_compared_with_its_merge_base(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first parent is its own commit: all earlier changes of the pull request would be hidden."""
    _, main, branch = branched(root)
    git(root, "merge", "--quiet", "--no-edit", "main")
    git(root, "update-ref", "refs/remotes/origin/main", main)
    assert git(root, "rev-parse", "HEAD^1") == branch
    workflow(monkeypatch, "pull_request", SHA="f" * 40, BASE_REF="main")
    assert base_revision(None) == GitRevision("origin/main", main)


def test_a_merge_queue_names_its_base(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork, _, _ = branched(root)
    event = tmp_path / "event.json"
    workflow(monkeypatch, "merge_group", EVENT_PATH=str(event))
    event.write_text(json.dumps({"merge_group": {"base_sha": fork}}))
    assert base_revision(None) == GitRevision("base of the merge queue", fork)
    event.write_text(json.dumps({"merge_group": {"base_sha": "a" * 40}}))
    with pytest.raises(RevisionError, match=r"lacks a+, the base of the merge queue; set actions/checkout"):
        base_revision(None)


def test_an_export_is_the_commit_without_hooks_or_traces(root: Path, tmp_path: Path) -> None:
    write(
        root,
        {".git/hooks/post-checkout": "#!/bin/sh\ntouch ../hook-ran\n", "run.sh": "#!/bin/sh\n", "dir/a": "1"},
    )
    (root / ".git/hooks/post-checkout").chmod(0o755)
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("run.sh")
    first = commit(root)
    before = sorted(root.rglob("*"))
    write(root, {"dir/a": "uncommitted"})
    export(first, tmp_path / "tree", tmp_path / "index")
    names = sorted(path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*"))
    assert names == ["dir", "dir/a", "link", "model.py", "run.sh"]
    assert (tmp_path / "tree" / "dir" / "a").read_text() == "1"
    assert os.access(tmp_path / "tree" / "run.sh", os.X_OK)
    assert (tmp_path / "tree" / "link").readlink() == Path("run.sh")
    assert sorted(root.rglob("*")) == before
    assert git(root, "status", "--porcelain") == "M dir/a"
