"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]
#: CDK_PROFILE is the CDK CLI's variable of its option --profile: boto3 must follow it, too.
Profile = Annotated[str | None, typer.Option(help="AWS CLI profile.", envvar="CDK_PROFILE")]


def require_choice(option: str, value: str | None, valid: Iterable[str]) -> None:
    """Raise `typer.BadParameter`, which lists the valid values, for any other value of an option."""
    valid = list(valid)
    if value is not None and value not in valid:
        raise typer.BadParameter(f"{value}: use {' or '.join(valid)}", param_hint=option)
