"""The Hub token that the seeder will use: the value of the stage's secret, not this machine's login."""

from __future__ import annotations

from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from adapters.source_remedies import HUGGING_FACE
from adapters.store.s3 import error_code
from ingest.hub_token import plain_token
from loraserve.aws import Client
from loraserve.doctor.caller import caller
from stacks.config.stage_config import StageConfig

_SUGGESTED_NAME = "lora-serving/hub-token"


@dataclass(frozen=True)
class SeederToken:
    """The token, if the stage names a secret and the caller may read it."""

    value: str | None = field(default=None, repr=False)
    unreadable: str = ""
    """Reason for a missing value although the stage names a secret; empty otherwise."""


def seeder_token(config: StageConfig, client: Client) -> SeederToken:
    """Read the stage's secret; what is wrong with it is `loraserve.doctor.checks.secret`'s to report.

    Another account may have a secret of the same name, with a token that the seeder will not have: it is
    not read.
    """
    if config.hub_token_secret is None:
        return SeederToken()
    try:
        account = caller(client).account
        if config.account not in {None, account}:
            return SeederToken(unreadable=f"the credentials are of account {account}, the secret is not")
        answer = client("secretsmanager").get_secret_value(SecretId=config.hub_token_secret)
    except ClientError as error:
        return SeederToken(
            unreadable=f"the secret {config.hub_token_secret!r} is not readable ({error_code(error)})"
        )
    except BotoCoreError as error:
        return SeederToken(
            unreadable=f"the secret {config.hub_token_secret!r} is not readable ({type(error).__name__})"
        )
    token = plain_token(answer.get("SecretString", ""))
    if token is None:
        return SeederToken(unreadable=f"the secret {config.hub_token_secret!r} holds no token")
    return SeederToken(token)


def tokens_page(config: StageConfig) -> str:
    """Return the place where an account creates tokens: the Hub's page, or the mirror that issues its own."""
    hub = config.hub_endpoint
    return f"{hub}/settings/tokens" if hub == HUGGING_FACE else f"of {hub}"


def how_to_store(config: StageConfig) -> str:
    """Return the steps that give the seeder a token, as a part of a sentence.

    The token is passed in a file: an argument would stay in the shell's history.
    """
    name = config.hub_token_secret or _SUGGESTED_NAME
    token = f"a read token ({tokens_page(config)})"
    if config.hub_token_secret is None:
        return (
            f"store {token} in a file token.txt, run `aws secretsmanager create-secret "
            f"--region {config.region} --name {name} --secret-string file://token.txt`, and write "
            f"hub_token_secret: {name}"
        )
    return (
        f"store {token} in a file token.txt, and run `aws secretsmanager "
        f"put-secret-value --region {config.region} --secret-id {name} --secret-string file://token.txt`"
    )
