"""Arguments of `cdk bootstrap`: another environment than the stage's is refused before anything is asked."""

from typing import Any

import pytest
from rich.console import Console

from loraserve.bootstrap import BootstrapRefused, bootstrap, bootstrap_command
from stacks.config.loading import load_stages
from stacks.project import ROOT

[STAGE] = load_stages(ROOT / "stages", "dev")


class Caller:
    """The token service of an account."""

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "222222222222", "Arn": "arn:aws:iam::222222222222:user/ada"}


def run(*options: str) -> list[str]:
    ran: list[str] = []
    bootstrap(
        Console(quiet=True), STAGE, lambda _service: Caller(), lambda *words: ran.extend(words), options
    )
    return ran


@pytest.mark.parametrize(
    "option",
    [
        "aws://111111111111/us-east-1",
        "111111111111/eu-west-1",
        "*/us-east-1",
        "aws://*/*",
        "--region",
        "--region=eu-west-1",
    ],
)
def test_another_environment_is_refused(option: str) -> None:
    def asked(_: Any) -> Any:
        pytest.fail("AWS was asked")

    with pytest.raises(BootstrapRefused, match="only the stage's own account and region"):
        bootstrap(Console(quiet=True), STAGE, asked, asked, [option])


def test_options_with_slashes_and_colons_are_passed_on() -> None:
    policy = ("--cloudformation-execution-policies", "arn:aws:iam::aws:policy/PowerUserAccess")
    template = ("--template", "infra/bootstrap.yaml")
    assert run(*policy, *template) == [
        *bootstrap_command("222222222222", STAGE.config.region, "dev"),
        *policy,
        *template,
    ]
