"""A Hub with one open, one gated and one private repository."""

from collections.abc import Iterator

import pytest
from huggingface_hub import HfApi

from tests.hub.samples import FILES, REPO, TOKEN
from tests.hub.server import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.add(REPO, FILES)
        server.tokens = {TOKEN: {"acme/gated", "acme/private"}, "hf_stranger": set()}
        server.add("acme/gated", FILES, gated=True)
        server.add("acme/private", FILES, private=True)
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)
