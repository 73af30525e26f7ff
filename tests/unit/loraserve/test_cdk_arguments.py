"""Arguments of `make deploy` and `make destroy` for the CDK CLI."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loraserve import aws, bootstrap, cdk, cdk_arguments, deploy, destroy
from loraserve.cdk_arguments import CdkArgumentError
from loraserve.cli.commands import app
from loraserve.promotion import by_hand

ROLE = "arn:aws:iam::123456789012:role/deployer"
REGISTRY = json.loads(cdk_arguments._REGISTRY.read_text())


@pytest.mark.parametrize(
    "words",
    [
        ["--role-arn", ROLE],
        [f"--role-arn={ROLE}"],
        ["--roleArn", ROLE],
        ["-r", ROLE],
        [f"-r={ROLE}"],
        ["-vv"],
        ["--verbose"],
        ["--no-path-metadata"],
        ["--ci", "true"],
        ["--strict"],
        ["--yes"],
    ],
    ids=" ".join,
)
def test_a_global_option_is_of_every_call(words: list[str]) -> None:
    own = ["--require-approval", "never"]
    assert cdk_arguments.cdk_arguments("deploy", "dev", [*own, *words], "me") == (
        ("--profile", "me", *words),
        tuple(own),
    )


@pytest.mark.parametrize(
    "words",
    [["--require-approval", "never"], ["--concurrency=4"], ["-t", "a=b", "-t", "c=d"], ["-f"], ["-R"]],
    ids=" ".join,
)
def test_an_option_of_the_command_is_of_its_call_alone(words: list[str]) -> None:
    assert cdk_arguments.cdk_arguments("deploy", "dev", words) == ((), tuple(words))


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["--region", "eu-west-1"], "set it as region in stages/dev.yaml"),
        (["--region=eu-west-1"], "set it as region in stages/dev.yaml"),
        (["--proxy", "http://proxy:3128"], "HTTPS_PROXY"),
        (["--ca-bundle-path=ca.pem"], "AWS_CA_BUNDLE"),
        (["--caBundlePath", "ca.pem"], "AWS_CA_BUNDLE"),
        (["-i"], "--profile"),
        (["--plugin", "credentials"], "--profile"),
        (["-c", "stage=prod"], "stage file"),
        (["--context=stage=prod"], "stage file"),
        (["-a", "cdk.out"], "stage file"),
        (["--app", "cdk.out"], "stage file"),
        (["-o", "here"], "stage file"),
        (["--version"], "cdk version"),
    ],
    ids=str,
)
def test_an_option_that_half_of_the_command_would_not_follow_is_refused(
    words: list[str], instead: str
) -> None:
    for command in ("bootstrap", "deploy", "destroy"):
        with pytest.raises(CdkArgumentError) as refused:
            cdk_arguments.cdk_arguments(command, "dev", words)
        assert f"{' '.join(words)} cannot be passed to cdk {command}" in str(refused.value)
        assert instead in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--no-execute"],
        ["--method", "prepare-change-set"],
        ["-m=execute-change-set"],
        ["--hotswap-fallback"],
        ["--watch"],
        ["--express"],
        ["--ignore-no-stacks"],
    ],
    ids=" ".join,
)
def test_a_deploy_that_would_not_deploy_the_whole_stage_is_refused(words: list[str]) -> None:
    with pytest.raises(CdkArgumentError, match="deploys all stacks of the stage and waits"):
        cdk_arguments.cdk_arguments("deploy", "dev", words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--require-aproval", "never"], "did you mean --require-approval"),
        (["--all"], "the stacks are those of the stage"),
        (["Dev/Serving"], "stacks and account are the stage's"),
        (["--role-arn"], "--role-arn needs a value"),
        (["--role-arn", "--yes"], "--role-arn needs a value"),
        (["-fv"], "write each option separately"),
        (["--no-role-arn"], "has no option --no-role-arn"),
        (["--r", ROLE], "has no option --r"),
    ],
    ids=str,
)
def test_what_the_cli_would_take_for_a_stack_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(CdkArgumentError, match=message):
        cdk_arguments.cdk_arguments("deploy", "dev", words)


def test_every_refused_option_exists_in_the_pinned_cli() -> None:
    known = {*REGISTRY["globalOptions"], *REGISTRY["commands"]["deploy"]["options"], "help", "version"}
    for command, reasons in cdk_arguments._REFUSED.items():
        here = known if not command else set(REGISTRY["commands"][command]["options"])
        assert {name.partition("=")[0] for name in reasons} <= here


def test_every_global_option_is_either_refused_or_of_every_call() -> None:
    """A new release's option is passed on: this list is to be read again then."""
    passed = set(REGISTRY["globalOptions"]) - set(cdk_arguments._REFUSED[""])
    assert passed == {
        *("trace", "strict", "lookups", "ignore-errors", "verbose", "debug", "debug-app", "debug-cli"),
        *("profile", "role-arn", "version-reporting", "path-metadata", "asset-metadata", "staging"),
        *("no-color", "color", "ci", "unstable", "telemetry-file", "yes"),
    }


@pytest.mark.parametrize("given", [["--profile", "me"], ["--profile=me"], []], ids=str)
@pytest.mark.parametrize("command", ["bootstrap", "deploy", "destroy"])
def test_boto3_and_the_cli_get_the_same_profile(
    monkeypatch: pytest.MonkeyPatch, command: str, given: list[str]
) -> None:
    seen: list[object] = []
    synthesized: list[object] = []
    monkeypatch.setattr(aws, "client_factory", lambda *arguments: seen.append(arguments))
    module = {"bootstrap": bootstrap, "deploy": deploy, "destroy": destroy}[command]
    monkeypatch.setattr(module, command, lambda *arguments, **_: seen.append(arguments[-1]))
    # The record of a deployment has its own tests.
    monkeypatch.setattr(by_hand, "recorded", lambda *_: nullcontext())
    monkeypatch.setattr(cdk, "interactive", lambda *arguments, **_: synthesized.append(arguments))
    environment = {} if given else {"CDK_PROFILE": "me"}
    skipped = ["--skip-doctor", "--skip-checks"] if command == "deploy" else []
    done = CliRunner().invoke(app, [command, "dev", *given, *skipped, "--role-arn", ROLE], env=environment)
    assert (done.exit_code, seen[0]) == (0, ("us-east-1", "me"))
    common = ("--profile", "me", "--role-arn", ROLE)
    assert seen[1] == ((common, ()) if command == "deploy" else [*common])
    if command == "deploy":
        assert synthesized == [("synth", "--quiet", "--context", "stage=dev", *common)]


def test_a_refused_argument_ends_the_command_before_anything_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cdk, "NODE", tmp_path / "no-node")
    done = CliRunner().invoke(app, ["deploy", "dev", "--region", "eu-west-1"])
    assert done.exit_code == 2
