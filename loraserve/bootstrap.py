"""`cdk bootstrap` of a stage's account and region, and of no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rich.console import Console

from loraserve.aws import Client
from loraserve.errors import UserError
from stacks.config.stage_config import LoadedStage

#: An environment as the CDK CLI accepts it; `aws://` is optional, and patterns are allowed.
_ENVIRONMENT = re.compile(r"aws://.*|(\d{12}|\*)/[\w*-]+")


class BootstrapRefused(UserError):
    """The credentials or arguments are for another account or region than the stage's."""


def bootstrap_command(account: str, region: str, stage: str) -> list[str]:
    """Return the arguments of `cdk bootstrap` for one environment.

    Without an environment, the CLI would take those of all stages of the app.
    """
    return ["bootstrap", f"aws://{account}/{region}", "--context", f"stage={stage}"]


def bootstrap(
    console: Console,
    stage: LoadedStage,
    client: Client,
    cdk: Callable[..., object],
    options: Sequence[str] = (),
) -> None:
    """Run `cdk bootstrap` for the stage's environment; `options` are passed to it.

    `cdk` runs the CLI with its arguments. The account is the stage file's, else the credentials'. Raises
    `BootstrapRefused`, `loraserve.cdk.CdkError`, and boto3's errors if the credentials cannot be used.
    """
    region = stage.config.region
    for option in options:
        if option.split("=")[0] == "--region" or _ENVIRONMENT.fullmatch(option):
            raise BootstrapRefused(
                f"{option}: only the stage's own account and region are bootstrapped. Set `account` and "
                f"`region` in stages/{stage.name}.yaml"
            )
    caller = client("sts").get_caller_identity()
    account = caller["Account"]
    if stage.config.account not in (None, account):
        raise BootstrapRefused(
            f"the credentials are for account {account} ({caller['Arn']}), and stages/{stage.name}.yaml is "
            f"for {stage.config.account}. Use that account's credentials, e.g. with AWS_PROFILE"
        )
    console.print(f"cdk bootstrap of account {account}, region {region}, as {caller['Arn']}", soft_wrap=True)
    cdk(*bootstrap_command(account, region, stage.name), *options)
