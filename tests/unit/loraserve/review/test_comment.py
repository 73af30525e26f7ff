"""The comment of a review, against a server with GitHub's documented answers."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from loraserve.review import artifact, comment
from loraserve.review.document import write
from stacks.project import ROOT
from tests.harness.github import BOT, FORK, REPOSITORY, TOKEN, Answered, GitHubDouble, github_double
from tests.harness.reviews import NOTHING, archive, loss, zipped

A, B, C = "a" * 40, "b" * 40, "c" * 40
PULL = 7


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        double.open_pull(PULL, A)
        yield double


@pytest.fixture
def run_on(github: GitHubDouble, tmp_path: Path) -> Any:
    """Run the program of the workflow on an event; returns its exit code."""

    def run(event: dict[str, Any]) -> int:
        file = tmp_path / "event.json"
        file.write_text(json.dumps(event))
        return comment.main(
            {
                "GITHUB_EVENT_PATH": str(file),
                "GITHUB_API_URL": github.url,
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_TOKEN": TOKEN,
            }
        )

    return run


def body(github: GitHubDouble, number: int = PULL) -> str:
    """The text of a pull request's only comment."""
    [found] = github.comments[number]
    text: str = found["body"]
    assert text.startswith(f"{comment.MARKER}\n")
    return text


def writes(github: GitHubDouble) -> list[str]:
    return [each for each in github.requests if not each.startswith("GET ")]


def test_one_comment_is_created_then_edited_at_last_to_say_that_nothing_changes(
    github: GitHubDouble, run_on: Any
) -> None:
    # Ten comments of others and pages of four: the comment is found on a later page.
    github.page = 4
    github.comments[PULL] = [
        {"id": each, "user": {"login": "octocat", "type": "User"}, "body": "LGTM"} for each in range(10)
    ]
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))) == 0
    assert "the bucket is deleted" in github.comments[PULL][10]["body"]

    github.push(PULL, B)
    assert run_on(github.review(PULL, "2026-11-27T11:00:00Z", archive(NOTHING, PULL))) == 0

    assert len(github.comments[PULL]) == 11
    assert "no stage changes" in github.comments[PULL][10]["body"]
    assert "the bucket is deleted" not in github.comments[PULL][10]["body"]
    assert writes(github) == [f"POST issues/{PULL}/comments", "PATCH issues/comments/710"]


@pytest.mark.parametrize(
    "user", [{"login": "mallory", "type": "User"}, {"login": BOT["login"], "type": "User"}, None]
)
def test_a_comment_of_another_account_with_the_marker_is_left_alone(
    github: GitHubDouble, run_on: Any, user: dict[str, str] | None
) -> None:
    forged = {"id": 1, "user": user, "body": f"{comment.MARKER}\nAll is well."}
    github.comments[PULL] = [dict(forged)]
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))) == 0
    assert github.comments[PULL][0] == forged
    assert "BLOCK" in github.comments[PULL][1]["body"]


def test_a_label_set_after_the_review_stays_until_the_next_push(github: GitHubDouble, run_on: Any) -> None:
    github.page = 2
    github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL), conclusion="failure")
    github.label(PULL, "bug", "2026-11-27T10:01:00Z")
    github.label(PULL, "accept-loss", "2026-11-27T10:02:00Z")
    assert run_on(github.review(PULL, "2026-11-27T10:02:01Z", archive(loss(accepted=True), PULL))) == 0
    assert github.labels(PULL) == ["bug", "accept-loss"]
    assert "accepted" in body(github)

    github.push(PULL, B)
    # Newer than the label, as each review of the new commit is.
    pushed = github.review(PULL, "2026-11-27T11:00:00Z", archive(loss(), PULL), conclusion="failure")
    assert run_on(pushed) == 0
    assert github.labels(PULL) == ["bug"]
    assert "accepted: loss" not in body(github)


def test_an_acceptance_of_another_commit_that_a_check_counted_is_named(
    github: GitHubDouble, run_on: Any
) -> None:
    github.label(PULL, "accept-loss", "2026-11-27T10:00:00Z")
    github.push(PULL, B)
    github.review(PULL, "2026-11-27T11:00:00Z", None, conclusion="cancelled")
    # Set before the comment of the push removes the other one: the payload has both.
    github.label(PULL, "accept-cost", "2026-11-27T11:00:30Z")
    counted = replace(loss(accepted=True), accepted=("loss", "cost"))
    assert run_on(github.review(PULL, "2026-11-27T11:00:31Z", archive(counted, PULL))) == 0
    assert github.labels(PULL) == ["accept-cost"]
    assert "This check counted `accept-loss`, set before this commit." in body(github)


def test_a_label_of_the_first_minute_was_set_before_anything_was_seen(
    github: GitHubDouble, run_on: Any
) -> None:
    github.label(PULL, "accept-identity", "2026-11-27T10:00:00Z")
    # Labels without a category are removed as well; their names are quoted in the path.
    github.label(PULL, "accept-a/b ?", "2026-11-27T10:00:00Z")
    run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL)))
    assert github.labels(PULL) == []


def test_a_review_of_the_commit_in_another_branch_does_not_make_a_label_newer(
    github: GitHubDouble, run_on: Any
) -> None:
    github.open_pull(8, B, branch="elsewhere")
    github.review(8, "2026-11-27T09:00:00Z", archive(loss(), 8))
    github.label(PULL, "accept-loss", "2026-11-27T10:00:00Z")
    github.push(PULL, B)
    run_on(github.review(PULL, "2026-11-27T11:00:00Z", archive(loss(), PULL)))
    assert github.labels(PULL) == []


def test_a_label_that_the_run_did_not_count_is_removed_and_a_later_one_stays(
    github: GitHubDouble, run_on: Any
) -> None:
    github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))
    github.label(PULL, "accept-loss", "2026-11-27T10:01:00Z")
    # Started by another label: no acceptance counts, and the check is red.
    other = github.review(PULL, "2026-11-27T10:02:00Z", archive(loss(), PULL))
    github.label(PULL, "accept-access", "2026-11-27T10:02:30Z")
    run_on(other)
    assert github.labels(PULL) == ["accept-access"]


def test_a_document_that_claims_acceptance_keeps_no_label_after_a_push(
    github: GitHubDouble, run_on: Any
) -> None:
    github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))
    github.label(PULL, "accept-loss", "2026-11-27T10:01:00Z")
    github.push(PULL, B)
    run_on(github.review(PULL, "2026-11-27T11:00:00Z", archive(loss(accepted=True), PULL)))
    assert github.labels(PULL) == []


def test_a_cancelled_review_removes_the_labels_too(github: GitHubDouble, run_on: Any) -> None:
    github.label(PULL, "accept-loss", "2026-11-27T10:00:00Z")
    github.push(PULL, B)
    assert run_on(github.review(PULL, "2026-11-27T11:00:00Z", None, conclusion="cancelled")) == 0
    assert github.labels(PULL) == []
    assert github.comments[PULL] == []


def test_a_label_that_is_removed_meanwhile_is_no_error(github: GitHubDouble, run_on: Any) -> None:
    github.label(PULL, "accept-loss", "2026-11-27T10:00:00Z")
    github.push(PULL, B)
    github.refused = {"DELETE": Answered(404, {"message": "Label does not exist"})}
    assert run_on(github.review(PULL, "2026-11-27T11:00:00Z", archive(loss(), PULL))) == 0
    assert "the bucket is deleted" in body(github)


def test_a_pull_request_from_a_fork_gets_the_same_comment(github: GitHubDouble, run_on: Any) -> None:
    # Another repository's branch of the same name and commit is another pull request.
    github.open_pull(9, A, repo=FORK)
    assert run_on(github.review(9, "2026-11-27T10:00:00Z", archive(loss(), 9))) == 0
    assert "the bucket is deleted" in body(github, 9)
    assert github.comments[PULL] == []


def test_a_number_that_lies_writes_to_no_other_pull_request(
    github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    github.open_pull(9, C, branch="evil", repo=FORK)
    assert run_on(github.review(9, "2026-11-27T10:00:00Z", archive(NOTHING, PULL))) == 1
    assert github.comments[PULL] == []
    assert "No review of ccccccc" in body(github, 9)
    assert "claims pull request 7, and the run is of 9" in capsys.readouterr().err


def test_the_number_selects_among_pull_requests_of_one_branch(github: GitHubDouble, run_on: Any) -> None:
    github.open_pull(8, A)
    run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), 8)))
    assert github.comments[PULL] == []
    assert "the bucket is deleted" in body(github, 8)


def test_a_run_of_an_earlier_commit_or_a_deleted_fork_changes_nothing(
    github: GitHubDouble, run_on: Any
) -> None:
    late = github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))
    github.push(PULL, B)
    assert run_on(late) == 0
    late["workflow_run"] |= {"head_sha": B, "head_repository": None}
    assert run_on(late) == 0
    assert writes(github) == []


BROKEN = {
    "not JSON": ("{", "not JSON"),
    "too few fields": ('{"schema": 1}', "is missing"),
    "another schema": (write(NOTHING).replace('"schema": 1', '"schema": 2'), "schema: 1 is wanted"),
    "too deep": ("[" * 100_000, "not JSON"),
    "too long": (" " * (artifact.MAX_DOCUMENT + 1), "more than 20,000,000 bytes"),
    "a list": ("[]", "document"),
}


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_document_that_is_not_a_review_is_not_shown(
    github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(text, PULL))) == 1
    assert "is not that of a review" in body(github)
    assert reason in capsys.readouterr().err


def corrupted(content: bytes) -> bytes:
    """A byte of the document's deflated content is another one."""
    place = content.index(b"review.json") + 40
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def compressed(method: int) -> bytes:
    """A zip whose content the method's decompressor refuses."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        made.writestr("pull-request.txt", f"{PULL}\n")
    data = bytearray(content.getvalue())
    start = (
        data.index(b"pull-request.txt") + len("pull-request.txt") + (9 if method == zipfile.ZIP_LZMA else 0)
    )
    data[start : start + 8] = b"\xff" * 8
    return bytes(data)


ARCHIVES = {
    "no zip": (b"hello", "not a readable zip"),
    "a corrupt zip": (corrupted(archive(loss(), PULL)), "not a readable zip"),
    "corrupt bzip2": (compressed(zipfile.ZIP_BZIP2), "not a readable zip"),
    "corrupt LZMA": (compressed(zipfile.ZIP_LZMA), "not a readable zip"),
    "a name that is no text": (
        zipped({"é": "", "pull-request.txt": "7"}).replace("é".encode(), b"\xff\xff"),
        "not a readable zip",
    ),
    "no number": (zipped({"review.json": "{}"}), "is no number"),
    "a path as number": (archive(loss(), "../../8"), "is no number"),
    "a long number": (archive(loss(), "1" * 30), "more than 20 bytes"),
}


@pytest.mark.parametrize(("content", "reason"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_artifact_that_is_not_one_of_a_review_is_not_used(
    github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", content)) == 1
    assert "is not that of a review" in body(github)
    assert reason in capsys.readouterr().err


def test_an_oversized_artifact_is_not_downloaded(
    github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    event = github.review(PULL, "2026-11-27T10:00:00Z", None)
    github.add_artifact(event["workflow_run"]["id"], b"", size_in_bytes=artifact.MAX_ARCHIVE + 1)
    assert run_on(event) == 1
    assert "10,000,001 bytes, more than 10,000,000" in capsys.readouterr().err
    assert not any(each.endswith("/zip") for each in github.requests)
    assert "is not that of a review" in body(github)


def test_a_size_that_lies_ends_the_download(
    github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    event = github.review(PULL, "2026-11-27T10:00:00Z", None)
    github.add_artifact(event["workflow_run"]["id"], bytes(artifact.MAX_ARCHIVE + 1), size_in_bytes=10)
    assert run_on(event) == 1
    assert "has more than 10,000,000 bytes" in capsys.readouterr().err


def test_the_newest_artifact_of_a_run_counts(github: GitHubDouble, run_on: Any) -> None:
    event = github.review(PULL, "2026-11-27T10:00:00Z", archive(loss("the first"), PULL))
    github.add_artifact(event["workflow_run"]["id"], archive(loss("the second"), PULL))
    github.add_artifact(event["workflow_run"]["id"], archive(loss("the third"), PULL), expired=True)
    run_on(event)
    assert "the second" in body(github)


def test_a_review_without_document_is_reported(github: GitHubDouble, run_on: Any) -> None:
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(None, PULL), conclusion="failure")) == 0
    assert "No review of aaaaaaa" in body(github)
    assert f"https://github.com/{REPOSITORY}/actions/runs/1000" in body(github)


def test_a_hostile_name_is_inert(github: GitHubDouble, run_on: Any) -> None:
    hostile = (
        f"adapter `x` @octo-org/admins <img src=x> [a](http://evil) {comment.MARKER} SURROGATE ::error::"
    )
    # JSON can name half of a surrogate pair, which no UTF-8 can have.
    document = write(loss(hostile)).replace("SURROGATE", "\\ud800")
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(document, PULL))) == 0
    html = MarkdownIt("gfm-like", {"linkify": False}).render(body(github))
    html.encode()
    assert "<img" not in html
    assert 'href="http://evil' not in html
    assert html.count("<!--") == 1
    assert "@octo-org" not in re.sub("<code>.*?</code>", "", html)


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (403, "Resource not accessible by integration", "give the job the permissions"),
        (401, "Bad credentials", "set GITHUB_TOKEN"),
        (502, "Server Error", "run the job again"),
    ],
)
def test_a_refusal_is_reported_with_its_reason_and_a_remedy(
    github: GitHubDouble,
    run_on: Any,
    capsys: pytest.CaptureFixture[str],
    status: int,
    message: str,
    remedy: str,
) -> None:
    github.refused = {"POST": Answered(status, {"message": message})}
    assert run_on(github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))) == 1
    error = capsys.readouterr().err
    assert f"{status} {message}; {remedy}" in error
    assert TOKEN not in error


def test_a_server_that_does_not_answer_is_reported(
    tmp_path: Path, github: GitHubDouble, run_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    event = github.review(PULL, "2026-11-27T10:00:00Z", archive(loss(), PULL))
    github.url = "http://127.0.0.1:9"
    assert run_on(event) == 1
    assert "no answer" in capsys.readouterr().err


def test_the_program_needs_no_package() -> None:
    # -I -S: neither packages nor variables of Python.
    code = "import sys; sys.path.insert(0, sys.argv[1]); import loraserve.review.comment"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, ROOT], check=True)
