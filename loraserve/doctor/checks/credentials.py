"""Credentials: usable, and of the stage's account."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError
from botocore.exceptions import ConnectionError as Unreachable

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.credential_errors import SIGN_IN, credential_error
from loraserve.doctor.caller import caller
from loraserve.finding import Finding, ok, problem
from stacks.config.stage_target import StageTarget


def check(target: StageTarget, client: Client) -> Iterator[Finding]:
    """Ask STS for the principal and compare its account with the stage's."""
    region = target.region
    try:
        who = caller(client)
    except (BotoCoreError, ClientError) as error:
        yield problem("credentials", *_refusal(error, region))
        return
    yield ok("credentials", who.arn)
    wanted = target.account
    if wanted is None:
        yield ok("account", f"{who.account}; stages/{target.name}.yaml names none, so any is right")
    elif wanted == who.account:
        yield ok("account", f"{who.account}, the stage's")
    else:
        yield problem(
            "account",
            f"the credentials are of {who.account}, the stage is of {wanted}",
            f"use a profile of {wanted}: --profile NAME or AWS_PROFILE",
        )


def _refusal(error: BotoCoreError | ClientError, region: str) -> tuple[str, str]:
    """Return what is wrong, and the remedy."""
    known = credential_error(error, region)
    if known is not None:
        return known
    if isinstance(error, ClientError):
        return f"{error_code(error)}: {error.response['Error'].get('Message', '')}", SIGN_IN
    if isinstance(error, Unreachable):
        return str(error), "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL"
    return str(error), f"{SIGN_IN}; check the network and HTTPS_PROXY"
