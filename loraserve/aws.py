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
    session = boto3.Session(profile_name=profile, region_name=region)
    # boto3's guide: a session is not thread safe, the clients that it creates are.
    lock = threading.Lock()

    def client(service: str, own: Config | None = None) -> Any:
        with lock:
            return session.client(service, config=own or config)

    return client
