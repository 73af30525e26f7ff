"""The arguments of `rollback`."""

from typer.testing import CliRunner

from loraserve.cli.commands import app


def test_a_rollback_without_a_reason_is_refused_before_aws_is_asked() -> None:
    done = CliRunner().invoke(app, ["rollback", "prod", "--reason", " "])
    assert done.exit_code == 2
    assert "write why the stage is rolled back" in " ".join(done.stderr.split())
