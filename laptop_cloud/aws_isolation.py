"""Environments in which AWS clients reach the laptop cloud and no real account."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from botocore.config import Config

from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION


class NotLoopback(ValueError):
    """An endpoint outside this machine."""

    def __init__(self, endpoint_url: str) -> None:
        """`endpoint_url` is the refused endpoint."""
        super().__init__(
            f"{endpoint_url!r} is not on this machine: the laptop cloud's endpoint is http://127.0.0.1:<port>"
        )


def aws_variables(
    endpoint_url: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
) -> dict[str, str]:
    """Return the AWS variables of a client of the laptop cloud.

    The access key is the account's id. The paths of configuration files point to an empty file.

    Raises:
        NotLoopback: `endpoint_url` is not on this machine.
    """
    if not _is_loopback(endpoint_url):
        raise NotLoopback(endpoint_url)
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client_config(config: Config | None = None) -> Config:
    """Return `config` for a boto3 client of the laptop cloud: path-style S3 URLs and no proxies."""
    return Config(s3={"addressing_style": "path"}, proxies={}).merge(config or Config())


def clean_environment(
    environ: Mapping[str, str],
    endpoint_url: str,
    account: str = DEFAULT_ACCOUNT,
    region: str = DEFAULT_REGION,
) -> dict[str, str]:
    """Return a copy of `environ` for a child process that uses the laptop cloud as its only AWS.

    Every AWS_* variable is removed: profiles, tokens, roles, endpoints of single services. Addresses of this
    machine bypass proxies. The programs of this Python's environment (`node` among them) come first in PATH.

    Raises:
        NotLoopback: `endpoint_url` is not on this machine.
    """
    kept = {name: value for name, value in environ.items() if not name.upper().startswith("AWS_")}
    direct = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1,localhost")))
    programs = str(Path(sys.executable).parent)
    others = [folder for folder in kept.get("PATH", os.defpath).split(os.pathsep) if folder != programs]
    return {
        **kept,
        **aws_variables(endpoint_url, account, region),
        "NO_PROXY": direct,
        "no_proxy": direct,
        "PATH": os.pathsep.join((programs, *others)),
    }


def _is_loopback(endpoint_url: str) -> bool:
    host = urlsplit(endpoint_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
