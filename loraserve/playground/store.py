"""The registry's entries and the containers' residency, read for the catalog."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import ProxyHandler, build_opener

from adapters.store.layout import RegistryEntry
from adapters.store.registry import AdapterRegistry
from loraserve.playground.catalog import fastest

#: Requests to S3 at the same time.
PARALLEL_REQUESTS = 16
#: Seconds for a container's list.
CONTAINER_TIMEOUT_S = 5.0


def entries(s3: Any, bucket: str) -> list[RegistryEntry]:
    """Read all entries of the registry; raises `DamagedEntry`, and botocore's errors."""
    registry = AdapterRegistry(s3, bucket)
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        found = pool.map(registry.get, registry.etags())
        return [published.entry for published in found if published is not None]


def residency(containers: Iterable[str]) -> dict[str, str | None] | None:
    """Return the fastest tier of each adapter over all containers; None if one of them does not answer."""
    tiers: dict[str, list[str | None]] = {}
    urls = list(containers)
    # Without the environment's proxies: the containers are on this machine.
    opener = build_opener(ProxyHandler({}))
    for url in urls:
        try:
            with opener.open(f"{url}/v1/models", timeout=CONTAINER_TIMEOUT_S) as answer:
                listed = json.load(answer)["data"]
        except (OSError, ValueError, LookupError):
            return None
        for model in listed:
            tiers.setdefault(model["id"], []).append(model.get("resident"))
    return {name: fastest(found) for name, found in tiers.items()} if urls else None
