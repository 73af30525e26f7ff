"""The GitLab jobs of docs/review-ci.md: form, arguments of the review, and its one note."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from loraserve.review.comment import MARKER
from loraserve.review.finding import CATEGORIES
from stacks.project import ROOT

[SNIPPET] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "review-ci.md").read_text(), re.DOTALL)
JOBS: dict[str, Any] = yaml.safe_load(SNIPPET)
BASE, HEAD = "1" * 40, "5d6e7f80" * 5


def script(job: str, folder: Path, **variables: str) -> str:
    """Run a job's script as GitLab's runner does, in one bash; returns its output."""
    text = "\n".join(["set -eo pipefail", *JOBS[job]["script"]])
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stub(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def test_it_has_the_form_of_gitlabs_schema(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(SNIPPET)
    command = [ROOT / ".venv" / "bin" / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_review_fails_the_job() -> None:
    assert "allow_failure" not in SNIPPET
    assert set(re.findall(r"for category in ([a-z ]+);", SNIPPET)[0].split()) <= set(CATEGORIES)


@pytest.mark.parametrize(
    ("labels", "accepted"),
    [
        ("", ""),
        ("bug,accept-loss-5d6e7f80,accept-access-5d6e7f80", "--accept loss --accept access"),
        # Of an earlier commit; of no commit; another label.
        ("accept-loss-11111111,accept-loss,xaccept-loss-5d6e7f80,accept-loss-5d6e7f80x", ""),
    ],
)
def test_a_label_accepts_for_one_commit(tmp_path: Path, labels: str, accepted: str) -> None:
    stub(tmp_path / "bin" / "make", "exit 0")
    stub(tmp_path / "bin" / "git", f'[ "$1" = fetch ] || echo {BASE}')
    stub(tmp_path / ".venv" / "bin" / "python", 'echo "$@"')
    found = script("review", tmp_path, CI_COMMIT_SHA=HEAD, CI_MERGE_REQUEST_LABELS=labels)
    arguments = f"-m loraserve review --base {BASE} --output out/review --format markdown {accepted}"
    assert found == f"{arguments.strip()}\n"


@pytest.fixture
def notes() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """GitLab's notes of a merge request, https://docs.gitlab.com/api/notes: the API's address and the notes."""
    found: list[dict[str, Any]] = [{"id": 1, "body": "LGTM"}]

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            assert self.headers["PRIVATE-TOKEN"] == "token"
            path, _, _ = self.path.partition("?")
            if self.command == "GET":
                self.send(200, found)
                return
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            [text] = form["body"]
            if self.command == "POST":
                assert path == "/projects/3/merge_requests/7/notes"
                found.append({"id": 1 + len(found), "body": text})
            else:
                [note] = [
                    each for each in found if path == f"/projects/3/merge_requests/7/notes/{each['id']}"
                ]
                note["body"] = text
            self.send(200, {})

        do_GET = do_POST = do_PUT = handle_request

        def send(self, status: int, content: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", found
        server.shutdown()
        thread.join()


def test_one_note_is_created_then_edited(tmp_path: Path, notes: tuple[str, list[dict[str, Any]]]) -> None:
    address, found = notes
    report = tmp_path / "out" / "review" / "review.md"
    report.parent.mkdir(parents=True)
    for text in ("### prod: BLOCK & more\n", "### no stage changes\n"):
        report.write_text(text)
        script(
            "review-note",
            tmp_path,
            CI_API_V4_URL=address,
            CI_MERGE_REQUEST_PROJECT_ID="3",
            CI_MERGE_REQUEST_IID="7",
            REVIEW_TOKEN="token",
        )
        assert found == [{"id": 1, "body": "LGTM"}, {"id": 2, "body": f"{MARKER}\n{text}"}]
