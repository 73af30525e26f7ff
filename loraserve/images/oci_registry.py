"""Digest of an image's tag: the part of the OCI distribution API that this needs, without a login.

Kept instead of a library (docs/decisions/0006-hand-made-parts.md). oras 0.2.43 does not compare a manifest
with its digest, has no time limits, waits 131 s before it reports a refused connection, and asks docker.io
itself instead of registry-1.docker.io. python-dxf 12.1.1 accepts a manifest of any size, returns a digest
from HEAD unchecked and cannot fetch a token from a registry on loopback.

The names of headers and media types are those of the OCI distribution and image specifications and of
Docker's registry API, which both registries of the base images speak.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError

from loraserve.errors import UserError
from stacks.config.base_images import BaseImage

#: The platform of SageMaker's GPU instances.
PLATFORM = ("linux", "amd64")
#: Of all manifests since 2016; version 1 has no digest that could be checked.
SCHEMA_VERSION = 2
#: Docker Hub has another host name than in image references.
_NETWORK_NAMES = {"docker.io": "registry-1.docker.io"}
#: An index or list of images for several platforms; or the manifest of a single image.
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_NO_REGISTRY = "check that container/images.lock names a registry"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3})(?![^:/])")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
#: The specification lets a registry refuse manifests that are larger.
_MANIFEST_BYTES = 4 * 1024 * 1024
TIMEOUT = urllib3.Timeout(connect=5, read=20)
#: A refusal is reported at once, with the registry's Retry-After, instead of retried.
_RETRIES = urllib3.Retry(connect=2, read=2, redirect=0, status=0, other=0, respect_retry_after_header=False)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class RegistryError(UserError):
    """A tag that cannot be resolved; the message is one line and names the remedy."""


class ImageRegistry:
    """The registry of one image."""

    def __init__(self, image: BaseImage) -> None:
        """Prepare the requests; the first is sent by `digest`."""
        self._image = image
        self._host, _, name = image.repository.partition("/")
        scheme = "http" if _is_loopback(self._host) else "https"
        host = _NETWORK_NAMES.get(self._host, self._host)
        self._manifests = f"{scheme}://{host}/v2/{name}/manifests/"
        self._headers = {"Accept": ", ".join(MANIFEST_TYPES)}

    def digest(self) -> str:
        """Resolve the image's tag; the digest is checked against the bytes of its manifest.

        One request returns the digest, and Docker Hub does not count it. The manifest is read only if the
        digest is not the known one. Raises `RegistryError`.
        """
        digest = self._ask("HEAD", self._image.tag).headers.get("Docker-Content-Digest", "")
        if _DIGEST.fullmatch(digest) is None:
            raise RegistryError(f"{self._host} answers with the digest {digest[:80]!r}: {_NO_REGISTRY}")
        if digest == self._image.digest:
            return digest
        # By its digest, so that the tag cannot move between the two requests.
        manifest = self._ask("GET", digest).body
        found = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        if found != digest:
            raise RegistryError(
                f"{self._host} says that {self._image.tagged} is {digest}, but what it sends is {found}: "
                "do not use it, and try again from another network"
            )
        self._check_platform(_json_object(manifest))
        return digest

    def _check_platform(self, manifest: dict[str, Any]) -> None:
        """Require our platform in an index; the manifest of a single image does not name its platform."""
        if manifest.get("schemaVersion") != SCHEMA_VERSION:
            raise RegistryError(
                f"{self._host} sends no manifest of images for {self._image.tagged}: {_NO_REGISTRY}"
            )
        entries = manifest.get("manifests")
        if isinstance(entries, list) and not any(map(_is_for_platform, entries)):
            raise RegistryError(
                f"{self._image.tagged} is not there for {'/'.join(PLATFORM)}, which SageMaker's instances "
                "are: choose another tag in container/images.lock"
            )

    def _ask(self, method: str, reference: str) -> _Answer:
        url = self._manifests + reference
        response = self._send(method, url, self._headers)
        if response.status == HTTPStatus.UNAUTHORIZED and "Authorization" not in self._headers:
            self._headers["Authorization"] = f"Bearer {self._token(response)}"
            response = self._send(method, url, self._headers)
        self._check(response, f"no tag {reference}")
        return response

    def _token(self, refused: _Answer) -> str:
        """Fetch the anonymous token for a public image, from the token service that the refusal names."""
        challenge = refused.headers.get("WWW-Authenticate", "")
        asked = dict(_CHALLENGE.findall(challenge))
        realm = asked.pop("realm", "")
        secure = realm.startswith("https://") or _is_loopback(realm.removeprefix("http://"))
        if not challenge.lower().startswith("bearer ") or not secure:
            raise self._not_public(refused.status)
        query = urlencode({key: asked[key] for key in ("service", "scope") if key in asked})
        response = self._send("GET", f"{realm}?{query}", {})
        self._check(response, "no token service where it says")
        found = _json_object(response.body)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str):
            raise self._not_public(refused.status)
        return token

    def _check(self, response: _Answer, missing: str) -> None:
        match response.status:
            case HTTPStatus.OK:
                return
            case HTTPStatus.NOT_FOUND:
                raise RegistryError(
                    f"{self._image.repository} has {missing}: correct it in container/images.lock"
                )
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise self._not_public(response.status)
            case HTTPStatus.TOO_MANY_REQUESTS:
                seconds = response.headers.get("Retry-After", "")
                when = f"in {seconds} s" if seconds.isdecimal() else "later"
                raise RegistryError(f"{self._host} has been asked too often from here: try again {when}")
            case status:
                raise RegistryError(f"{self._host} answers with status {status}: try again later")

    def _not_public(self, status: int) -> RegistryError:
        return RegistryError(
            f"{self._image.repository} is not there or not public (status {status}): correct it in "
            "container/images.lock, or for a private image write its digest there by hand"
        )

    def _send(self, method: str, url: str, headers: dict[str, str]) -> _Answer:
        """Send one request and read the response to its end."""
        try:
            with connections(url) as pool:
                response = pool.request(
                    method, url, headers=headers, timeout=TIMEOUT, retries=_RETRIES, redirect=False,
                    preload_content=False,
                )  # fmt: skip
                body = response.read(_MANIFEST_BYTES + 1)
        except HTTPError as error:
            reason = error.reason if isinstance(error, MaxRetryError) else error
            raise RegistryError(
                f"{_host(url)} does not answer ({str(reason).rpartition(': ')[2]}): check the "
                "network, HTTPS_PROXY and SSL_CERT_FILE, and try again"
            ) from error
        if len(body) > _MANIFEST_BYTES:
            raise RegistryError(f"{_host(url)} sends more than a manifest: {_NO_REGISTRY}")
        return _Answer(response.status, response.headers, body)


def _is_loopback(place: str) -> bool:
    """Apply Docker's rule for registries without TLS; a port or a path may follow the host."""
    return _LOOPBACK.match(place) is not None


def connections(url: str) -> urllib3.PoolManager:
    """Make the connections to the host of `url`, through the environment's proxy if there is one."""
    scheme, _, place = url.partition("://")
    proxy = getproxies().get(scheme)
    if proxy is None or _is_loopback(place) or proxy_bypass(_host(url)):
        return urllib3.PoolManager()
    return urllib3.ProxyManager(proxy)


def _host(url: str) -> str:
    """Return the host and port of a URL."""
    return url.partition("://")[2].partition("/")[0]


def _is_for_platform(entry: object) -> bool:
    platform = entry.get("platform") if isinstance(entry, dict) else None
    return isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == PLATFORM


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
