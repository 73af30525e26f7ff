"""Typed stage configuration: `stages/<stage>.yaml` and the adapter manifest it names.

Every rule that can be known at synth is checked here. What is wrong is told in one line that names
file, key, value and what would be right.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.base_model import InvalidBaseModel
from adapters.errors import InvalidAdapter
from stacks.local_adapters import check_local_adapters, stage_rules
from stacks.manifest import Manifest

Model = TypeVar("Model", bound=BaseModel)

#: SageMaker's limits for both time-outs of a variant (CreateEndpointConfig).
HealthCheckSeconds = Annotated[int, Field(ge=60, le=3600)]


class ConfigError(Exception):
    """A stage or manifest that cannot be used; the message is one line for the person who wrote it."""


class Strict(BaseModel):
    """Base of all configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Engine(Strict):
    """The inference engine and how it is set up; the defaults are the seed article's."""

    name: Literal["lorax", "vllm"] = "lorax"
    """Which engine, and so which folder of `container/`."""
    max_input_tokens: int = Field(1024, ge=1)
    """Longest prompt, in tokens."""
    max_total_tokens: int = Field(4096, ge=2)
    """Longest prompt and answer together, in tokens."""
    default_new_tokens: int = Field(256, ge=1)
    """New tokens of a request that does not say how many."""
    max_new_tokens: int = Field(1024, ge=1)
    """The most new tokens one request may ask for, so that SageMaker's 60 s limit is met."""
    max_concurrent_requests: int = Field(128, ge=1)
    """Requests at the engine at once; more wait for their turn, see `max_queued_requests`."""
    max_adapter_rank: int = Field(64, ge=1, le=128)
    """LoRAX's fast path ends at rank 128 (punica)."""
    adapter_target_modules: list[str] | None = None
    """vLLM only: the modules that adapters may change, e.g. `[q_proj, v_proj]`. Every slot is reserved for
    all modules otherwise: 64 slots of rank 64 take about 21 GB beside a 7B model."""
    max_active_adapters: int = Field(64, ge=1, le=1024)
    """Adapters in the engine's memory at once."""
    adapter_memory_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    """LoRAX only: part of the GPU's memory that is kept for adapters."""
    tensor_parallel: int = Field(1, ge=1, le=8)
    """GPUs that share one model."""
    quantize: str | None = None
    """The engine's own name of a quantization, e.g. `awq` or `bitsandbytes-nf4`."""
    dtype: Literal["float16", "bfloat16"] | None = None
    """Of the weights in memory; by default what the model's config says."""
    trust_remote_code: bool = False
    """Whether Python code in the model's repository may run in the container."""

    @model_validator(mode="after")
    def _consistent(self) -> Engine:
        if self.max_input_tokens >= self.max_total_tokens:
            raise ValueError("max_input_tokens must be below max_total_tokens")
        if self.max_new_tokens >= self.max_total_tokens:
            raise ValueError("max_new_tokens must be below max_total_tokens")
        if self.default_new_tokens > self.max_new_tokens:
            raise ValueError("default_new_tokens must be at most max_new_tokens")
        if self.name == "lorax" and self.quantize is not None and self.dtype is not None:
            raise ValueError("quantize and dtype exclude each other: LoRAX refuses both together")
        return self


class Gateway(Strict):
    """The process in front of the engine: how long it waits, how much it keeps, what it tells."""

    answer_seconds: float = Field(55, gt=0, le=59)
    """For an answer that is not streamed and for a stream's first event; SageMaker gives up after 60."""
    max_queued_requests: int = Field(128, ge=0)
    """Requests per instance that may wait for a turn at the engine; more are answered 429 at once."""
    max_cold_loads: int = Field(2, ge=1, le=64)
    """Adapters that may be loaded at once; on LoRAX each load stops all generation meanwhile."""
    registry_cache_seconds: float = Field(5, ge=0, le=3600)
    """How soon an instance serves what was published, at the latest."""
    engine_silence_seconds: float = Field(60, gt=0)
    """How long the engine may give no token until `/ping` says 503 and SageMaker replaces the instance."""
    adapter_cache_gb: float = Field(50, gt=0)
    """Disk for adapters (10^9 bytes); the least recently used ones make room."""
    metrics_seconds: float = Field(60, gt=0)
    """How often metrics are written for CloudWatch."""
    metrics_max_adapters: int = Field(100, ge=1)
    """Adapters with metrics of their own, each a custom metric on the bill; the others share theirs."""


class BaseModelSource(Strict):
    """The base model: fetched from the Hub by the container, or mounted from the bucket."""

    name: str = "mistralai/Mistral-7B-Instruct-v0.1"
    """Hub id, or any name for a local model; adapters must have been trained on a model of this name."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """The Hub commit."""
    path: str | None = None
    """A local directory with the model, relative to the stage file; it is put into the bucket and
    mounted by SageMaker, so the endpoint needs no Hub."""

    mirror: bool = False
    """Whether the model is copied from the Hub into the bucket and mounted by SageMaker from there, so that
    instances start without the Hub."""

    @model_validator(mode="after")
    def _one_source(self) -> BaseModelSource:
        if (self.revision is None) == (self.path is None):
            raise ValueError("give either revision (a 40-digit Hub commit) or path (a local directory)")
        if self.mirror and self.path is not None:
            raise ValueError("mirror is for models on the Hub: a local one is put into the bucket anyway")
        return self


class Endpoint(Strict):
    """The SageMaker variant."""

    instance_type: str = Field("ml.g5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    """SageMaker instance type."""
    instance_count: int = Field(1, ge=1)
    """Instances at creation; autoscaling decides afterwards."""
    startup_health_check_seconds: HealthCheckSeconds = 800
    """How long a container may take until `/ping` answers 200."""
    model_download_seconds: HealthCheckSeconds = 1200
    """How long SageMaker may take to download a mounted model."""
    inference_ami_version: str | None = None
    """Picks the GPU driver of the instance: LoRAX's image has CUDA 12.4, ml.g5's default driver 11.4."""


class Autoscaling(Strict):
    """Target tracking on the requests in flight per instance, counted until their last token."""

    min_instances: int = Field(1, ge=1)
    """Never fewer."""
    max_instances: int = Field(2, ge=1)
    """Never more: the bound of the bill."""
    target_concurrent_requests: float = Field(5, gt=0)
    """AWS's example value; set it to about 0.7 of what your load test finds."""
    scale_out_cooldown_seconds: int = Field(300, ge=0)
    """Pause after adding instances; about as long as an instance needs to start."""
    scale_in_cooldown_seconds: int = Field(600, ge=0)
    """Pause after removing instances."""

    @model_validator(mode="after")
    def _ordered(self) -> Autoscaling:
        if self.min_instances > self.max_instances:
            raise ValueError("min_instances must be at most max_instances")
        return self


class StageConfig(Strict):
    """One stage: where it goes, what it serves and on what."""

    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Without it, the account of the credentials that deploy."""
    region: str = Field("us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """AWS region."""
    engine: Engine = Engine()
    """See below."""
    gateway: Gateway = Gateway()
    """See below."""
    image: str = "asset"
    """`asset`: built from container/<engine>/Dockerfile; or the URI of an image."""
    base_model: BaseModelSource
    """See below."""
    adapters: str
    """The adapter manifest, relative to the stage file."""
    allow_unpinned_sources: bool = False
    """Whether a Hub branch may stand where a commit belongs; for development."""
    hub_endpoint: str = Field("https://huggingface.co", pattern=r"^https?://[^/\s]+$")
    """The Hub that the seeder asks; a company's mirror of it has the same routes."""
    hub_token_secret: str | None = Field(None, max_length=512, pattern=r"^[A-Za-z0-9/_+=.@-]+$")
    """Name of a Secrets Manager secret, of the stage's account and region, with a Hub read token as its plain
    text: for private and gated repositories. The seeder reads it when it needs it."""
    decrypt_keys: list[str] = Field([], max_length=20)
    """ARNs of KMS keys, beside the stage's own, that the seeder may decrypt with: those of the buckets that
    adapters come from (another stage's store is one), and of the token's secret. Their policies must allow
    it, too."""
    endpoint: Endpoint = Endpoint()
    """See below."""
    autoscaling: Autoscaling = Autoscaling()
    """See below."""
    retention_days: int = Field(30, ge=1, le=3650)
    """How long a revision stays in the bucket after its name stands for another one, or for none."""
    retain_data: bool = True
    """Whether bucket and contents outlive the stack."""

    @model_validator(mode="after")
    def _token_is_safe(self) -> StageConfig:
        local = self.hub_endpoint.startswith(("http://127.0.0.1", "http://localhost"))
        if self.hub_endpoint.startswith("http://") and not local:
            raise ValueError("hub_endpoint must be https: a token would travel in clear text")
        if bad := [key for key in self.decrypt_keys if not key.startswith("arn:")]:
            raise ValueError(f"decrypt_keys: {bad[0]!r} is no ARN")
        return self


class LoadedStage(BaseModel):
    """A stage's config with what it refers to."""

    model_config = ConfigDict(frozen=True)

    name: str
    config: StageConfig
    manifest: Manifest
    directory: Path
    """Where relative paths of the stage start."""


def load_stage(path: Path) -> LoadedStage:
    """Read a stage file and its manifest; raise `ConfigError` on the first thing that is wrong."""
    config = _validated(path, StageConfig)
    manifest_path = path.parent / config.adapters
    if not manifest_path.is_file():
        raise ConfigError(f"{path}: adapters: {config.adapters!r} is not a file; name a manifest")
    manifest = _validated(manifest_path, Manifest)
    for adapter in manifest.adapters:
        problem = adapter.source_problem(manifest_path.parent, unpinned=config.allow_unpinned_sources)
        if problem is not None:
            raise ConfigError(f"{manifest_path}: adapter {adapter.name!r}: source: {problem}")
    model_path = config.base_model.path
    if model_path is not None and not (path.parent / model_path / "config.json").is_file():
        raise ConfigError(
            f"{path}: base_model.path: {model_path!r} has no config.json; name a model directory"
        )
    model = None if model_path is None else path.parent / model_path
    try:
        check_local_adapters(
            manifest, manifest_path.parent, stage_rules(config.engine, config.base_model.name), model
        )
    except InvalidAdapter as error:
        raise ConfigError(f"{manifest_path}: {error}") from error
    except InvalidBaseModel as error:
        raise ConfigError(f"{path}: base_model.path: {error}") from error
    return LoadedStage(name=path.stem, config=config, manifest=manifest, directory=path.parent)


def load_stages(directory: Path, only: str | None = None) -> list[LoadedStage]:
    """All stages of a directory in alphabetical order, or the one named `only`."""
    paths = sorted(directory.glob("*.yaml"))
    if only is not None:
        names = [path.stem for path in paths]
        if only not in names:
            raise ConfigError(f"stage {only!r} is unknown{_closest(only, names)}; stages: {', '.join(names)}")
        paths = [directory / f"{only}.yaml"]
    return [load_stage(path) for path in paths]


def _validated(path: Path, model: type[Model]) -> Model:
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error, model)}") from error


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys_at(model, first["loc"][:-1])
        return f"{key}: unknown key{_closest(str(first['loc'][-1]), valid)}; valid: {', '.join(valid)}"
    if first["type"] == "missing":
        return f"{key}: missing"
    message = first["msg"].removeprefix("Value error, ")
    # A rule between keys has the whole section as its input: naming the section is enough.
    value = "" if isinstance(first["input"], dict) else f"{first['input']!r}: "
    return f"{key}: {value}{message}" if key else message


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, str):
            current = current.model_fields[part].annotation
            while not (isinstance(current, type) and issubclass(current, BaseModel)):
                current = next(arg for arg in current.__args__ if arg is not type(None) and arg is not ...)
    return list(current.model_fields)


def _closest(word: str, valid: list[str]) -> str:
    match = difflib.get_close_matches(word, valid, n=1)
    return f", did you mean {match[0]!r}" if match else ""
