"""Errors of AWS that are about the credentials: what is wrong, and the remedy."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from adapters.store.s3 import error_code

SIGN_IN = "sign in (`aws sso login`, `aws configure`), or name a profile: --profile NAME or AWS_PROFILE"
_WRONG_KEY = (
    "the secret key does not match the access key, or this machine's clock is wrong",
    "set the clock, or enter both keys again (`aws configure`)",
)
#: Error codes of STS (its API reference, "Common errors") and of services with a JSON protocol, and what they
#: mean.
_REFUSALS = {
    "ExpiredToken": ("they have expired", SIGN_IN),
    "ExpiredTokenException": ("they have expired", SIGN_IN),
    "RequestExpired": ("the request has expired", "set this machine's clock"),
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidSignatureException": _WRONG_KEY,
    "InvalidClientTokenId": ("the access key is not known in {place}", ""),
    "UnrecognizedClientException": ("the access key is not known in {place}", ""),
}
_UNKNOWN_KEY = (
    f"{SIGN_IN}. A region that the account has not enabled answers the same: enable it "
    "(`aws account enable-region --region-name {region}`)"
)
_LOCAL = (
    CredentialRetrievalError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


def credential_error(error: BotoCoreError | ClientError, region: str | None = None) -> tuple[str, str] | None:
    """Return what is wrong with the credentials, and the remedy; None for an error about something else."""
    if isinstance(error, NoCredentialsError):
        return "there are none", SIGN_IN
    if isinstance(error, _LOCAL):
        return str(error), SIGN_IN
    if isinstance(error, ClientError) and (code := error_code(error)) in _REFUSALS:
        found, remedy = _REFUSALS[code]
        return found.format(place=region or "this region"), (remedy or _UNKNOWN_KEY).format(
            region=region or "REGION"
        )
    return None
