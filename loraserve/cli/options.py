"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]
#: CDK_PROFILE is the CDK CLI's variable of its option --profile: boto3 must follow it, too.
Profile = Annotated[str | None, typer.Option(help="AWS CLI profile.", envvar="CDK_PROFILE")]
