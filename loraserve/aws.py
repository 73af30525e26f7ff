"""Clients of the AWS account that a stage is deployed to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

#: Creates a boto3 client of a service, e.g. `sagemaker`, in the stage's account and region. A second argument
#: is its botocore `Config`.
Client = Callable[..., Any]


def client_factory(region: str, profile: str | None = None, config: Config | None = None) -> Client:
    """Return a factory of clients in `region`, with the credentials of an AWS CLI profile.

    Without a `profile` botocore's usual order applies: environment variables, then the default profile.
    `config` is that of every client without its own. The factory may be called in several threads. Raises
    botocore's `ProfileNotFound`.
    """
    return _factory(boto3.Session(profile_name=profile, region_name=region), config)


def assumed_role(client: Client, arn: str, *, session: str, region: str) -> Client:
    """Return a factory of clients in `region` with the rights of a role that `client` may assume.

    A session of a role that another role assumes ends after an hour (AWS's limit of role chaining). Raises
    botocore's `ClientError` if the role does not trust the caller.
    """
    found = client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    credentials = boto3.Session(
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        region_name=region,
    )
    return _factory(credentials, None)


def _factory(session: boto3.Session, config: Config | None) -> Client:
    # boto3's guide: a session is not thread safe, the clients that it creates are.
    lock = threading.Lock()

    def client(service: str, own: Config | None = None) -> Any:
        with lock:
            return session.client(service, config=own or config)

    return client
