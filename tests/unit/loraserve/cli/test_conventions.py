"""Conventions of command lines: a version, quiet and verbose, plain output, completion."""

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from rich.console import Console
from typer.testing import CliRunner

from loraserve import verbosity
from loraserve.cli.commands import app
from loraserve.cli.console import say
from loraserve.progress import step
from loraserve.request_log import log_requests
from loraserve.verbosity import Verbosity
from stacks.project import ROOT

#: Select Graphic Rendition with a colour of the foreground or background.
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")


@pytest.fixture(autouse=True)
def normal() -> Iterator[None]:
    yield
    verbosity.choose(Verbosity.NORMAL)
    if log_requests.cache_info().currsize:
        log_requests(say)()
        log_requests.cache_clear()


def test_the_version_is_the_projects_with_the_commit() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert re.fullmatch(r"loraserve \d+\.\d+\.\d+( \(commit [0-9a-f]{7}(, changed)?\))?\n", done.stdout)


def test_the_console_script_is_the_application() -> None:
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "loraserve", "doctor", "local"],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "✗ the local stage needs no account, quota or Docker: `make up` deploys it\n"


def on_terminal(**environment: str) -> bytes:
    """Return the output of a failing command on a terminal."""
    primary, terminal = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "loraserve", "doctor", "local"],
        cwd=ROOT, env=plain | {"TERM": "xterm-256color"} | environment,
        stdin=terminal, stdout=terminal, stderr=terminal, check=False,
    )  # fmt: skip
    os.close(terminal)
    assert done.returncode == 2
    return os.read(primary, 65536)


def test_no_color_leaves_the_colours_out_on_a_terminal() -> None:
    assert COLOUR.search(on_terminal())
    plain = on_terminal(NO_COLOR="1")
    assert "✗".encode() in plain
    assert not COLOUR.search(plain)


@pytest.mark.parametrize("arguments", [["-q", "doctor", "local"], ["doctor", "local", "--quiet"]], ids=str)
def test_quiet_before_or_after_the_command_leaves_the_error(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("✗ ")
    assert verbosity.is_quiet()


def test_quiet_has_no_progress() -> None:
    written = {}
    for chosen in (Verbosity.NORMAL, Verbosity.QUIET):
        verbosity.choose(chosen)
        console = Console(file=io.StringIO())
        with step(console, "the step"):
            pass
        written[chosen] = console.file.getvalue()  # type: ignore[attr-defined]
    assert "the step" in written[Verbosity.NORMAL]
    assert written[Verbosity.QUIET] == ""


def test_verbose_has_the_stack_trace_of_an_error() -> None:
    done = CliRunner().invoke(app, ["-v", "doctor", "local"])
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("✗ ")


def test_quiet_and_verbose_are_refused_together() -> None:
    done = CliRunner().invoke(app, ["-q", "-v", "down"])
    assert done.exit_code == 2
    assert "give one of the two" in done.stderr


def test_a_request_to_aws_is_a_line_without_its_parameters() -> None:
    lines: list[str] = []
    end = log_requests(lines.append)
    try:
        s3 = boto3.Session("key", "secret", region_name="us-east-1").client("s3")
    finally:
        end()
    with Stubber(s3) as stub:
        stub.add_response("list_buckets", {"ResponseMetadata": {"HTTPStatusCode": 200}})
        stub.add_client_error("get_object", "NoSuchKey")
        s3.list_buckets()
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="secret-bucket", Key="k")
    assert [re.sub(r"[\d.]+ s$", "… s", line) for line in lines] == [
        "s3 ListBuckets: 200, … s",
        "s3 GetObject: NoSuchKey, … s",
    ]


def test_a_request_to_aws_without_an_answer_is_a_line_with_the_reason() -> None:
    lines: list[str] = []
    end = log_requests(lines.append)
    try:
        runtime = boto3.Session(region_name="us-east-1").client("sagemaker-runtime")
    finally:
        end()
    runtime.meta.events.register("before-sign", Mock(side_effect=NoCredentialsError))
    with pytest.raises(NoCredentialsError):
        runtime.invoke_endpoint(EndpointName="secret-endpoint", Body=b"")
    assert [re.sub(r"[\d.]+ s$", "… s", line) for line in lines] == [
        "sagemaker-runtime InvokeEndpoint: Unable to locate credentials, … s"
    ]


def completed(words: str) -> list[str]:
    """Return the completions of the last of the words in bash."""
    found = CliRunner().invoke(
        app, [], prog_name="loraserve",
        env={
            "_LORASERVE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
    )  # fmt: skip
    return found.stdout.split()


@pytest.mark.parametrize("words", ["loraserve doctor ", "loraserve adapters --stage "])
def test_a_shell_completes_the_stages(words: str) -> None:
    assert set(completed(words)) == {path.stem for path in (ROOT / "stages").glob("*.yaml")}


def test_a_shell_completes_commands_and_options() -> None:
    assert completed("loraserve rel") == ["release"]
    assert completed("loraserve doctor dev --js") == ["--json"]
