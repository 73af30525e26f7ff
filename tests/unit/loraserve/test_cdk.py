"""Output of a CDK CLI that fails."""

import pytest

from loraserve.cdk import TAIL_LINES, AppFailed, _failure, _reason

FAILED_SEEDING = """\
Stack | 23/5 | 1:06:27 PM | UPDATE_FAILED | Custom::AdapterSeeding | Seeding Error: 1 adapter(s) cannot be
❌  LoraServing-Local-AdapterStore failed to deploy

‣ DeploymentError: Resource updates failed:
Local/AdapterStore/Seeding/Default  (Custom::AdapterSeeding Seeding)
  Error: 2 adapter(s) cannot be published; nothing was changed. All of them: s3://bucket/report.json
  adapter 'bad': its rank 64 is above this stage's 8; write engine.max_adapter_rank: 64, or train with rank 8 or lower
  adapter 'worse': the repository is gated
Logs:
  /aws/lambda/SeederWorker
    at invokeUserFunction
Source Location: ...aws-cdk-lib, jsii runtime, node internals...
   Logs from /aws/cloudformation/ProviderLogs:
   ... (946 earlier lines omitted)
         114,
"""


def test_the_reason_of_a_failed_deployment_is_reported_without_the_logs_behind_it() -> None:
    told = "".join(_reason(FAILED_SEEDING.splitlines(keepends=True)))
    assert told.startswith("❌  LoraServing-Local-AdapterStore failed to deploy")
    assert "adapter 'bad': its rank 64" in told
    assert told.rstrip().endswith("adapter 'worse': the repository is gated")


def test_of_any_other_failure_the_end_of_the_output_is_reported() -> None:
    lines = [f"line {number}\n" for number in range(100)]
    assert _reason(lines) == lines[-TAIL_LINES:]


APP = "JSII_NODE=.venv/bin/synth-node .venv/bin/python app.py"


@pytest.mark.parametrize(
    "line",
    [
        f"{APP}: Subprocess exited with error 2\n",
        f"\x1b[31m{APP}: Subprocess exited with error 2\x1b[39m\n",
    ],
)
def test_of_an_unusable_stage_file_the_apps_own_error_is_reported_alone(line: str) -> None:
    failure = _failure("synth", ["stages/dev.yaml: regoin: unknown key\n", line])
    assert isinstance(failure, AppFailed)
    assert str(failure) == "stages/dev.yaml: regoin: unknown key"
    assert failure.exit_code == 2


def test_of_an_app_that_crashes_the_stack_trace_is_reported() -> None:
    failure = _failure(
        "synth", ["Traceback …\n", "KeyError: 1\n", f"{APP}: Subprocess exited with error 1\n"]
    )
    assert (str(failure), failure.exit_code) == ("Traceback …\nKeyError: 1", 1)


def test_an_app_that_printed_nothing_keeps_the_clis_line() -> None:
    line = f"{APP}: Subprocess was killed with signal SIGKILL\n"
    failure = _failure("synth", [line])
    assert line in str(failure)
