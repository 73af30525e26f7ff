"""Output of a CDK CLI that fails."""

from loraserve.cdk import TAIL_LINES, _reason

FAILED_SEEDING = """\
Stack | 23/5 | 1:06:27 PM | UPDATE_FAILED | Custom::AdapterSeeding | Seeding Error: 1 adapter(s) cannot be
❌  LoraServing-Local-AdapterStore failed to deploy

‣ DeploymentError: Resource updates failed:
Local/AdapterStore/Seeding/Default  (Custom::AdapterSeeding Seeding)
  Error: 2 adapter(s) cannot be published; nothing was changed. All of them: s3://bucket/report.json
  adapter 'bad': its rank 64 is above this stage's 8; raise engine.max_adapter_rank
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
