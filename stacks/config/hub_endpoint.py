"""The URL of the Hub or of a mirror, as HF_ENDPOINT has it: with a path for an artifact repository.

JFrog Artifactory: `https://<host>/artifactory/api/huggingfaceml/<repository>`; Sonatype Nexus Repository:
`https://<host>/repository/<repository>/`. huggingface_hub takes a slash at the end off HF_ENDPOINT
(`constants.py`), but not off HfApi's `endpoint`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from adapters.source_remedies import HUGGING_FACE

_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")


def normalized(url: str) -> str:
    """Return the URL without slashes at its end, scheme and host in lower case; the path stays as it is.

    A URL that cannot be parsed is returned as it is: `endpoint_problem` reports it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether the host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoint_problem(url: str) -> str | None:
    """Return problem and remedy of a URL; None if it can be an endpoint.

    The text never quotes the URL: it may have a secret, which would be in a log, and in the template.
    """
    if any(character.isspace() for character in url):
        return "hub_endpoint has a space: write the URL alone"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "hub_endpoint is not a URL: check its host and port"
    return next((problem for is_wrong, problem in _REFUSED if is_wrong(parts)), None)


def _has_odd_path(parts: SplitResult) -> bool:
    return any(part in {"", ".", ".."} for part in parts.path.split("/")[1:])


def _is_page(parts: SplitResult) -> bool:
    return parts.hostname in _HUB_HOSTS and parts.geturl() != HUGGING_FACE


_REFUSED: tuple[tuple[Callable[[SplitResult], bool], str], ...] = (
    (
        lambda parts: parts.scheme not in {"http", "https"} or not parts.hostname,
        "hub_endpoint is not the URL of a server: write https://host, with the path of a mirror that has one",
    ),
    (
        lambda parts: "@" in parts.netloc,
        "hub_endpoint has a user name or a password, which the template would show: leave them out, and "
        "store the mirror's token in the secret that hub_token_secret names",
    ),
    (
        lambda parts: bool(parts.query or parts.fragment),
        "hub_endpoint has a query or a fragment, and the routes of the Hub are appended to it: leave it out",
    ),
    (_has_odd_path, "hub_endpoint has an empty part, '.' or '..' in its path: write the path that is meant"),
    (_is_page, f"hub_endpoint is an address inside of the Hub: write {HUGGING_FACE}"),
    (
        lambda parts: parts.scheme == "http" and not is_loopback(parts.geturl()),
        "hub_endpoint must be https: a token would travel in clear text",
    ),
)
"""The first rule that holds is reported."""
