"""Every error class of the command line is reported in one line, whichever command raises it."""

import importlib
import inspect
import pkgutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ProfileNotFound
from typer.testing import CliRunner

import loraserve
from adapters.errors import AdapterError
from laptop_cloud.cloud import Cloud
from loraserve import local_stage
from loraserve.cli.commands import ReportingCommand
from loraserve.credential_errors import SIGN_IN
from loraserve.errors import UserError
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError
from tests.harness.rooms import GRADIO

#: Modules of the set-up, which reports its own errors: it runs before the command line can.
PROGRAMS = "loraserve.setup"
MESSAGE = "[bold] the reason; the remedy"


def error_classes() -> list[type[Exception]]:
    """The exception classes that the modules of loraserve define."""
    names = [found.name for found in pkgutil.walk_packages(loraserve.__path__, "loraserve.")]
    modules = [importlib.import_module(name) for name in names if not name.startswith((PROGRAMS, *GRADIO))]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__
    ]


def instance(error_class: type[Exception]) -> Exception:
    """An error of the class with `MESSAGE`, whatever the constructor's parameters are."""
    error = error_class.__new__(error_class)
    error.args = (MESSAGE,)
    return error


def reported(error: BaseException) -> tuple[int, str]:
    """The exit code and standard error of a command that raises."""
    app = typer.Typer()

    @app.command(cls=ReportingCommand)
    def command() -> None:
        raise error

    done = CliRunner().invoke(app, [])
    assert done.stdout == ""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


def test_the_known_error_classes_are_found() -> None:
    names = {error_class.__name__ for error_class in error_classes()}
    assert {
        "CdkError",
        "DemoFailed",
        "SideError",
        "InvocationError",
        "LaptopCloudError",
        "NotDeployed",
    } <= names


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda found: found.__name__)
def test_an_error_class_is_reported_in_one_line(error_class: type[Exception]) -> None:
    assert issubclass(error_class, UserError | AdapterError)
    code = error_class.exit_code if issubclass(error_class, UserError) else 1
    assert reported(instance(error_class)) == (code, f"✗ {MESSAGE}\n")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("dev.yaml: no"), 2, "✗ dev.yaml: no\n"),
        (AdapterError("otter", "too big", "shrink it"), 1, "✗ adapter 'otter': too big; shrink it\n"),
        (NoCredentialsError(), 1, f"✗ credentials: there are none: {SIGN_IN}\n"),
        (
            ProfileNotFound(profile="other"),
            1,
            f"✗ credentials: The config profile (other) could not be found: {SIGN_IN}\n",
        ),
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "no"}}, "GetCallerIdentity"),
            1,
            f"✗ credentials: they have expired: {SIGN_IN}\n",
        ),
        (
            ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "no"}}, "GetCallerIdentity"),
            1,
            f"✗ credentials: the access key is not known in this region: {SIGN_IN}. A region that the account has "
            "not enabled answers the same: enable it (`aws account enable-region --region-name REGION`)\n",
        ),
        (
            EndpointConnectionError(endpoint_url="https://sts.us-east-1.amazonaws.com"),
            1,
            '✗ the cloud cannot be reached: Could not connect to the endpoint URL: "https://sts.us-east-1.amazonaws.com";'
            " check the network, HTTPS_PROXY and AWS_ENDPOINT_URL\n",
        ),
        (
            ClientError({"Error": {"Code": "Denied", "Message": "no"}}, "GetObject"),
            1,
            "✗ the cloud did not answer as it should: An error occurred (Denied) when calling the GetObject "
            "operation: no\n",
        ),
        (
            ModuleNotFoundError("No module named 'aiohttp'", name="aiohttp.web"),
            1,
            "✗ this command needs the package aiohttp, which a set-up for deployments does not install: run `make "
            "setup-laptop`\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted; everything this command started is stopped\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_from_elsewhere_is_reported_in_one_line(
    error: BaseException, code: int, message: str
) -> None:
    assert reported(error) == (code, message)


def test_the_exit_code_is_the_error_classes_own() -> None:
    class Special(UserError):
        exit_code = 7

    assert reported(Special("no")) == (7, "✗ no\n")


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("[][0]", "IndexError: list index out of range"),
        ("import loraserve.nothing", "ModuleNotFoundError: No module named 'loraserve.nothing'"),
    ],
)
def test_a_bug_keeps_its_stack_trace(line: str, report: str) -> None:
    script = f"""
import typer
from loraserve.cli.commands import ReportingCommand
app = typer.Typer(rich_markup_mode=None)
@app.command(cls=ReportingCommand)
def command() -> None:
    {line}
app()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert report in done.stderr


def test_a_taken_port_of_the_laptop_cloud_becomes_an_error_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(local_stage.LaptopCloudError, match=f"port {port} of 127.0.0.1 is taken"):
            local_stage.start(port)
        with (
            pytest.raises(local_stage.LaptopCloudError, match=f"port {port} of 127.0.0.1 is taken"),
            local_stage.temporary(tmp_path / "laptop", port),
        ):
            pass


def test_an_endpoint_elsewhere_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    class Elsewhere(Cloud):
        url = "http://example.com"  # type: ignore[assignment]

    with pytest.raises(local_stage.LaptopCloudError, match="not on this machine"):
        local_stage.client_variables(Elsewhere(80, tmp_path))
