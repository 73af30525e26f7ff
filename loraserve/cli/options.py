"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]
#: CDK_PROFILE is the CDK CLI's variable of its option --profile: boto3 must follow it, too.
Profile = Annotated[str | None, typer.Option(help="AWS CLI profile.", envvar="CDK_PROFILE")]

NoInvoke = Annotated[
    bool,
    typer.Option(
        "--no-invoke",
        help="Do not ask the endpoint: the record is unverified, and no stage takes the release.",
    ),
]
Run = Annotated[
    str, typer.Option(help="URL of the pipeline's run, for the record; GitHub, GitLab, CodeBuild: found.")
]
ApprovedBy = Annotated[
    str, typer.Option("--approved-by", help="Who approved it, for the record; GitHub, GitLab: found.")
]
#: The two stages of a comparison.
Giving = Annotated[str, typer.Argument(help="The stage that is promoted from.", show_default=False)]
Taking = Annotated[str, typer.Argument(help="The stage that takes from it.", show_default=False)]
GivingProfile = Annotated[str | None, typer.Option(help="AWS CLI profile of the first stage.")]
TakingProfile = Annotated[str | None, typer.Option(help="AWS CLI profile of the second stage.")]


def require_choice(option: str, value: str | None, valid: Iterable[str]) -> None:
    """Raise `typer.BadParameter`, which lists the valid values, for any other value of an option."""
    valid = list(valid)
    if value is not None and value not in valid:
        raise typer.BadParameter(f"{value}: use {' or '.join(valid)}", param_hint=option)
