"""The secret with the Hub token: there, plain text, readable for the seeder, accepted by the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx2
from botocore.exceptions import ClientError
from huggingface_hub.utils import get_session

from adapters.store.s3 import error_code
from ingest.hub_headers import hub_headers
from ingest.hub_token import plain_token
from loraserve.aws import Client
from loraserve.doctor.answers import unanswered
from loraserve.doctor.kms_keys import state_problem, state_remedy
from loraserve.doctor.sources.seeder_token import how_to_store, tokens_page
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage, StageConfig

_CHECK = "Hub token"
_KEY = "Hub token's key"
_ACCEPTED = "Hub token at the Hub"
_HUB_SECONDS = 10.0


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about `hub_token_secret`; none if the stage names no secret."""
    config = stage.config
    if config.hub_token_secret is None:
        return
    secrets = client("secretsmanager")
    description: dict[str, Any] | None = None
    try:
        description = secrets.describe_secret(SecretId=config.hub_token_secret)
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            yield problem(
                _CHECK,
                f"there is no secret {config.hub_token_secret!r} in {config.region} of the stage's account",
                _create(config),
            )
            return
        yield unanswered(_CHECK, "secretsmanager:DescribeSecret", error, config.hub_token_secret)
    if description is not None:
        if "DeletedDate" in description:
            yield problem(
                _CHECK,
                f"the secret {config.hub_token_secret!r} is scheduled for deletion",
                f"aws secretsmanager restore-secret --region {config.region} "
                f"--secret-id {config.hub_token_secret}",
            )
            return
        yield from _key(config, client, description.get("KmsKeyId"))
    yield from _value(config, secrets)


def _value(config: StageConfig, secrets: Any) -> Iterator[Finding]:
    """Check the value; its content is in no message."""
    name = config.hub_token_secret
    try:
        text = secrets.get_secret_value(SecretId=name).get("SecretString", "")
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            # A secret without a version AWSCURRENT: created, and never given a value.
            yield problem(_CHECK, f"the secret {name!r} has no value", how_to_store(config))
        elif error_code(error) in {"InvalidRequestException", "DecryptionFailure"}:
            message = error.response["Error"].get("Message", "")
            yield problem(_CHECK, f"the secret {name!r} cannot be read: {message}", how_to_store(config))
        else:
            yield unanswered(_CHECK, "secretsmanager:GetSecretValue", error, str(name))
        return
    token = plain_token(text)
    if token is None:
        content = "is empty, or binary" if not text.strip() else "is no token: JSON, or several words"
        yield problem(
            _CHECK,
            f"the value of the secret {name!r} {content}",
            f"{how_to_store(config)}: the token alone, as plain text",
        )
        return
    yield ok(_CHECK, f"the secret {name!r} is readable, and a plain text of {len(token)} characters")
    yield _accepted(config, token)


def _key(config: StageConfig, client: Client, key: str | None) -> Iterator[Finding]:
    """Check the secret's key; Secrets Manager's own, which needs no permission, is not in the description."""
    if key is None:
        return
    try:
        metadata = client("kms").describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if error_code(error) == "NotFoundException":
            yield problem(_KEY, f"the secret's key {key} does not exist", _create(config))
        elif key not in config.decrypt_keys:
            yield unanswered(_KEY, "kms:DescribeKey", error, f"{key}, which decrypt_keys does not name")
        return
    arn = metadata["Arn"]
    if metadata["KeyManager"] == "AWS":
        return
    if (found := state_problem(metadata)) is not None:
        yield problem(_KEY, f"{arn}: {found}", state_remedy(metadata, config.region))
    elif arn not in {*config.decrypt_keys, config.security.key_arn}:
        yield problem(
            _KEY,
            f"the secret is encrypted with {arn}, which decrypt_keys does not name",
            f"add {arn} to decrypt_keys, and let the key's policy allow the account",
        )
    else:
        yield ok(_KEY, f"{arn}, which the stage names")


def _accepted(config: StageConfig, token: str) -> Finding:
    """Ask the Hub whose token it is.

    https://huggingface.co/docs/huggingface_hub/package_reference/hf_api#huggingface_hub.HfApi.whoami, whose
    client has no time limit for it. The route answers 429 early, and a mirror of the Hub may lack it.
    """
    try:
        answer = get_session().get(
            f"{config.hub_endpoint}/api/whoami-v2",
            headers=hub_headers(token),
            timeout=_HUB_SECONDS,
        )
    except httpx2.HTTPError as error:
        return unknown(
            _ACCEPTED, f"not checked: no connection to {config.hub_endpoint} ({type(error).__name__})"
        )
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return problem(_ACCEPTED, f"{config.hub_endpoint} does not accept the token", how_to_store(config))
    try:
        name = answer.json()["name"] if answer.is_success else None
    except (ValueError, KeyError, TypeError):
        name = None
    if name is None:
        return unknown(_ACCEPTED, f"not checked: {config.hub_endpoint} answers HTTP {answer.status_code}")
    return ok(_ACCEPTED, f"accepted, of the account {name}")


def _create(config: StageConfig) -> str:
    return (
        f"store a read token ({tokens_page(config)}) in a file token.txt, and run "
        f"`aws secretsmanager create-secret --region {config.region} --name {config.hub_token_secret} "
        "--secret-string file://token.txt`"
    )
