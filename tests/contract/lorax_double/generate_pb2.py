"""Messages of proto/generate.proto between router and shard, with the fields that the double uses."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.contract.lorax_double.adapter import AdapterParameters
from tests.contract.lorax_double.queues import Generated
from tests.contract.lorax_double.validation import ValidGenerateRequest


@dataclass(frozen=True)
class Request:
    """All but its id and adapter is as the router's validation left it."""

    id: int
    valid: ValidGenerateRequest
    adapter_index: int


@dataclass(frozen=True)
class Batch:
    id: int
    requests: Sequence[Request]


@dataclass(frozen=True)
class CachedBatch:
    id: int
    request_ids: Sequence[int]


@dataclass(frozen=True)
class HealthRequest:
    pass


@dataclass(frozen=True)
class HealthResponse:
    pass


@dataclass(frozen=True)
class ClearCacheRequest:
    id: int


@dataclass(frozen=True)
class ClearCacheResponse:
    pass


@dataclass(frozen=True)
class FilterBatchRequest:
    batch_id: int
    request_ids: Sequence[int]


@dataclass(frozen=True)
class FilterBatchResponse:
    batch: CachedBatch


@dataclass(frozen=True)
class PrefillRequest:
    batch: Batch


@dataclass(frozen=True)
class DecodeRequest:
    batches: Sequence[CachedBatch]


@dataclass(frozen=True)
class PrefillResponse:
    generations: dict[int, Generated]
    """By the id of the request."""
    batch: CachedBatch | None


@dataclass(frozen=True)
class DecodeResponse:
    generations: dict[int, Generated]
    batch: CachedBatch | None


@dataclass(frozen=True)
class DownloadAdapterRequest:
    adapter_parameters: AdapterParameters
    adapter_source: str
    api_token: str | None


@dataclass(frozen=True)
class DownloadAdapterResponse:
    downloaded: bool
    memory_fraction: float


@dataclass(frozen=True)
class LoadAdapterRequest:
    adapter_parameters: AdapterParameters
    adapter_source: str
    adapter_index: int
    api_token: str | None


@dataclass(frozen=True)
class LoadAdapterResponse:
    loaded: bool


@dataclass(frozen=True)
class OffloadAdapterRequest:
    adapter_parameters: AdapterParameters
    adapter_source: str
    adapter_index: int


@dataclass(frozen=True)
class OffloadAdapterResponse:
    offloaded: bool
