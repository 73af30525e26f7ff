"""A gateway in front of a server that answers as vLLM does, with the adapter `otter`."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters.store.layout import RegistryEntry, registry_key
from container.vllm.backend import VllmBackend
from tests.contract.contract_server import gateway, serving
from tests.contract.fake_vllm import BASE_MODEL, FakeVllm
from tests.harness.http_client import JSON, Answer, Client
from tests.harness.registry_store import StubStore

REVISION = "0123456789abcdef"
ENTRY = RegistryEntry("otter", REVISION, REVISION * 4, 8, 1, BASE_MODEL, "here").to_json()


class RecordedGateway:
    """A gateway, and the engine behind it, which records what reaches it."""

    def __init__(self, client: Client, engine: FakeVllm) -> None:
        self.client, self.engine = client, engine

    def send(
        self, body: Any, headers: Mapping[str, str] = MappingProxyType({}), path: str = "/invocations"
    ) -> Answer:
        self.engine.asked.clear()
        return self.client.request("POST", path, json.dumps(body).encode(), JSON | dict(headers))

    def refusal(
        self, body: Any, headers: Mapping[str, str] = MappingProxyType({}), path: str = "/invocations"
    ) -> str:
        """Send a request that must not reach the engine; return the message, which does not quote it."""
        status, error_type, message = self.send(body, headers, path).error
        assert (status, error_type) == (422, "validation"), message
        assert self.engine.asked == []
        assert "secret" not in message
        return message


@contextlib.contextmanager
def recorded_gateway(folder: Path) -> Iterator[RecordedGateway]:
    """Serve until the end of the block; `folder` is for the adapters."""
    engine = FakeVllm()

    async def application() -> Any:
        return engine.application()

    connect = partial(
        VllmBackend,
        base_model=BASE_MODEL,
        max_input_tokens=50,
        default_new_tokens=256,
        cache=folder,
        resident=2,
    )
    with (
        serving(application) as port,
        gateway(port, connect, StubStore({registry_key("otter"): ENTRY})) as client,
    ):
        yield RecordedGateway(client, engine)
