"""`RoutingStrategy: PREFIX_AWARE`: requests with one prefix and one id go to one instance.

By botocore's model of SageMaker: the prefix is the first `PrefixLength` bytes of the body, and if the
requests in flight on the instance have reached `ConcurrencyThreshold`, the request goes "to an instance with
more available capacity". The hash is not documented; rendezvous hashing is this module's choice: of n
instances, a new one takes 1/n of the keys, and the keys of a lost one are spread over the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from laptop_cloud.api.service import Params, invalid
from laptop_cloud.sagemaker.fleet import Member

_STRATEGY: Final = "PREFIX_AWARE"


@dataclass(frozen=True)
class PrefixRequest:
    """The parts of a request that decide its instance."""

    body: bytes
    id: str | None = None
    """PrefixAwareId; None without one."""


@dataclass(frozen=True)
class PrefixRouting:
    """The settings of a variant, its `PrefixAwareRoutingConfig`."""

    prefix_length: int
    """Bytes of the body that count."""
    threshold: int
    """Requests in flight on an instance, from which on its keys go to others."""

    @classmethod
    def of(cls, variant: Params) -> PrefixRouting | None:
        """Read a variant; None if it has another strategy."""
        config = variant.get("RoutingConfig", {})
        if config.get("RoutingStrategy") != _STRATEGY:
            return None
        prefix = config["PrefixAwareRoutingConfig"]
        return cls(prefix["PrefixLength"], prefix["ConcurrencyThreshold"])

    def choose(self, members: Sequence[Member], request: PrefixRequest) -> Member:
        """Return the instance of the request's key, or at the threshold the one with the fewest in flight."""
        key = self._key(request)
        ranked = sorted(
            members, key=lambda member: blake2b(member.id.encode(), key=key).digest(), reverse=True
        )
        if ranked[0].in_flight < self.threshold:
            return ranked[0]
        # Of equal ones the first by rank, so that a key does not spread over more instances than it must.
        return min(ranked, key=lambda member: member.in_flight)

    def _key(self, request: PrefixRequest) -> bytes:
        # A NUL is in no id, so id and prefix cannot run into each other.
        identified = (request.id or "").encode() + b"\0"
        return blake2b(identified + request.body[: self.prefix_length], digest_size=32).digest()


def check_routing(variant: Params) -> None:
    """Raise `ServiceError` unless a variant has prefix settings exactly if its strategy needs them."""
    config = variant.get("RoutingConfig", {})
    prefix = config.get("PrefixAwareRoutingConfig")
    if config.get("RoutingStrategy") == _STRATEGY:
        missing = {"PrefixLength", "ConcurrencyThreshold"} - set(prefix or {})
        if missing:
            needed = " and ".join(sorted(missing))
            raise invalid(f"RoutingStrategy {_STRATEGY} needs {needed} in PrefixAwareRoutingConfig: add them")
    elif prefix is not None:
        raise invalid(f"PrefixAwareRoutingConfig is for RoutingStrategy {_STRATEGY}: leave it out")
