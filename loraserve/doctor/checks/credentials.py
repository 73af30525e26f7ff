"""Credentials: usable, and of the stage's account."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.caller import caller
from loraserve.finding import Finding, ok, problem
from stacks.config.stage_target import StageTarget

_SIGN_IN = "sign in (`aws sso login`, `aws configure`), or name a profile: --profile NAME or AWS_PROFILE"
#: Error codes of STS (its API reference, "Common errors") and what they mean.
_REFUSALS = {
    "ExpiredToken": ("they have expired", _SIGN_IN),
    "ExpiredTokenException": ("they have expired", _SIGN_IN),
    "RequestExpired": ("the request has expired", "set this machine's clock"),
    "SignatureDoesNotMatch": (
        "the secret key does not match the access key, or this machine's clock is wrong",
        "set the clock, or enter both keys again (`aws configure`)",
    ),
    "InvalidClientTokenId": ("the access key is not known in {region}", ""),
    "UnrecognizedClientException": ("the access key is not known in {region}", ""),
}
_UNKNOWN_KEY = (
    f"{_SIGN_IN}. A region that the account has not enabled answers the same: enable it "
    "(`aws account enable-region --region-name {region}`)"
)


def check(target: StageTarget, client: Client) -> Iterator[Finding]:
    """Ask STS for the principal and compare its account with the stage's."""
    region = target.region
    try:
        who = caller(client)
    except NoCredentialsError:
        yield problem("credentials", "there are none", _SIGN_IN)
        return
    except BotoCoreError as error:
        yield problem("credentials", str(error), f"{_SIGN_IN}; check the network and HTTPS_PROXY")
        return
    except ClientError as error:
        code, said = error_code(error), error.response["Error"].get("Message", "")
        found, remedy = _REFUSALS.get(code, (f"{code}: {said}", _SIGN_IN))
        yield problem(
            "credentials", found.format(region=region), (remedy or _UNKNOWN_KEY).format(region=region)
        )
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
