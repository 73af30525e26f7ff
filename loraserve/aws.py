"""Clients of the AWS account that a stage is deployed to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

#: Creates a boto3 client of a service, e.g. `sagemaker`, in the stage's account and region. A second argument
#: is its botocore `Config`.
Client = Callable[..., Any]


def client_factory(region: str, profile: str | None = None) -> Client:
    """Return a factory of clients in `region`, with the credentials of an AWS CLI profile.

    Without a `profile` botocore's usual order applies: environment variables, then the default profile.
    Raises botocore's `ProfileNotFound`.
    """
    session = boto3.Session(profile_name=profile, region_name=region)

    def client(service: str, config: Config | None = None) -> Any:
        return session.client(service, config=config)

    return client
