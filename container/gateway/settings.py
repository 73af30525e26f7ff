"""The container's settings, read once from the environment variables that SageMaker sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.names import MODULE_PATTERN
from adapters.strict_json import NotAnObject, parse_object
from container.gateway.schemas.validation import first_error

#: The directory where SageMaker mounts model data.
MODEL_DIR = "/opt/ml/model"
#: SageMaker mounts the instance's large disk at /tmp; the root volume is small.
ADAPTER_CACHE_DIR = "/tmp/adapters"  # noqa: S108

#: Highest `Settings.max_cpu_adapters`.
MAX_CPU_ADAPTERS = 100_000

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _json_object(text: str) -> dict[str, Any]:
    try:
        return parse_object(text.encode())
    except NotAnObject as error:
        raise ValueError(str(error)) from None


#: A JSON object, as text.
Json = Annotated[dict[str, Any], BeforeValidator(_json_object)]


class SettingsError(Exception):
    """An environment variable with a missing or invalid value; the message is one line."""

    def __init__(self, variable: str, value: str | None, remedy: str) -> None:
        """`remedy` is the value to set instead."""
        shown = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {shown}: {remedy}")
        self.variable = variable
        self.value = value
        self.remedy = remedy


class SettingsConflict(SettingsError):
    """Two variables that contradict each other; the remedy is a sentence that names both."""


class Settings(BaseModel):
    """One field per environment variable; a field's description is the remedy of its error.

    `stacks.config.sections.engine` takes its defaults and bounds from here.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_id: Text = Field(alias="HF_MODEL_ID", description="give the name of the base model")
    model_revision: Text | None = Field(
        None, alias="HF_MODEL_REVISION", description="give a branch, a tag or a commit, or leave it out"
    )
    gpus: Annotated[int, Field(ge=1, le=8)] = Field(
        1, alias="SM_NUM_GPUS", description="give a whole number, 1 or more and at most 8"
    )
    quantize: str | None = Field(
        None, alias="HF_MODEL_QUANTIZE", description="give a method that the engine knows, or leave it out"
    )
    trust_remote_code: Literal["true", "false"] = Field(
        "false", alias="HF_MODEL_TRUST_REMOTE_CODE", description="write true or false"
    )
    adapter_bucket: Text = Field(
        alias="ADAPTER_BUCKET", description="give the name of the S3 bucket that holds the adapters"
    )
    region: Text | None = Field(
        None, alias="AWS_REGION", description="give a region such as us-east-1, or leave it out"
    )
    max_input_tokens: Count = Field(
        1024, alias="MAX_INPUT_LENGTH", description="give a whole number of tokens, 1 or more"
    )
    max_total_tokens: Count = Field(
        4096, alias="MAX_TOTAL_TOKENS", description="give a whole number of tokens, 1 or more"
    )
    max_adapter_rank: Annotated[int, Field(ge=1, le=512)] = Field(
        64, alias="MAX_ADAPTER_RANK", description="give a whole number from 1 to 512"
    )
    max_active_adapters: Annotated[int, Field(ge=1, le=1024)] = Field(
        64, alias="MAX_ACTIVE_ADAPTERS", description="give a whole number from 1 to 1024"
    )
    max_cpu_adapters: int | None = Field(
        None,
        ge=1,
        le=MAX_CPU_ADAPTERS,
        alias="MAX_CPU_ADAPTERS",
        description="give a whole number from 1 to 100000, or leave it out for MAX_ACTIVE_ADAPTERS",
    )
    target_modules: Annotated[str, Field(pattern=rf"^{MODULE_PATTERN}(,{MODULE_PATTERN})*$")] | None = Field(
        None,
        alias="ADAPTER_TARGET_MODULES",
        description="list the modules that adapters change, as in q_proj,v_proj, or leave it out for all",
    )
    adapter_memory_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, alias="ADAPTER_MEMORY_FRACTION", description="give a share of GPU memory between 0 and 1"
    )
    dtype: Literal["float16", "bfloat16", "float32"] | None = Field(
        None, alias="DTYPE", description="use float16, bfloat16 or float32, or leave it out"
    )
    default_new_tokens: Count = Field(
        256, alias="DEFAULT_MAX_NEW_TOKENS", description="give a whole number of tokens, 1 or more"
    )
    max_new_tokens: Count = Field(
        1024, alias="MAX_NEW_TOKENS", description="give a whole number of tokens, 1 or more"
    )
    max_concurrent_requests: Count = Field(
        128, alias="MAX_CONCURRENT_REQUESTS", description="give a whole number of requests, 1 or more"
    )
    max_queued_requests: Annotated[int, Field(ge=0)] = Field(
        128, alias="MAX_QUEUED_REQUESTS", description="give a whole number of requests, 0 or more"
    )
    max_cold_loads: Annotated[int, Field(ge=1, le=64)] = Field(
        2, alias="MAX_COLD_LOADS", description="give a whole number of adapters from 1 to 64"
    )
    probe_share: Annotated[float, Field(ge=0, le=0.05)] = Field(
        0.005, alias="PROBE_SHARE", description="give a share of time from 0 to 0.05"
    )
    warm_up_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        30, alias="WARM_UP_SECONDS", description="give seconds, from 0 to 600"
    )
    answer_seconds: Annotated[float, Field(gt=0, le=59)] = Field(
        55, alias="ANSWER_SECONDS", description="give seconds, at most 59: SageMaker gives up after 60"
    )
    registry_cache_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        5, alias="REGISTRY_CACHE_SECONDS", description="give seconds, from 0 to 3600"
    )
    engine_idle_seconds: Seconds = Field(
        30, alias="ENGINE_IDLE_SECONDS", description="give seconds, more than 0"
    )
    engine_silence_seconds: Seconds = Field(
        60, alias="ENGINE_SILENCE_SECONDS", description="give seconds, more than 0"
    )
    adapter_cache_dir: Path = Field(
        Path(ADAPTER_CACHE_DIR), alias="ADAPTER_CACHE_DIR", description="give a directory"
    )
    adapter_cache_gb: Annotated[float, Field(gt=0)] = Field(
        50, alias="ADAPTER_CACHE_GB", description="give GB of disk (10^9 bytes), more than 0"
    )
    tool_call_parser: Text | None = Field(
        None, alias="TOOL_CALL_PARSER", description="give a parser that the engine has, or leave it out"
    )
    engine_arguments: Json = Field(
        {},
        alias="ENGINE_ARGUMENTS",
        description='give a JSON object of flags and values, such as {"max-num-batched-tokens":4096}',
    )
    endpoint_name: Text = Field("unknown", alias="ENDPOINT_NAME", description="give the endpoint's name")
    variant_name: Text = Field("AllTraffic", alias="VARIANT_NAME", description="give the variant's name")
    metrics_seconds: Seconds = Field(60, alias="METRICS_SECONDS", description="give seconds, more than 0")
    metrics_max_adapters: Count = Field(
        100, alias="METRICS_MAX_ADAPTERS", description="give a whole number of adapters, 1 or more"
    )
    bind_host: Text = Field("0.0.0.0", alias="BIND_HOST", description="give an address to listen on")  # noqa: S104
    port: Port = Field(8080, alias="SAGEMAKER_BIND_TO_PORT", description="give a port from 1 to 65535")
    engine_port: Port = Field(8081, alias="ENGINE_PORT", description="give a port from 1 to 65535")
    model_dir: Path = Field(Path(MODEL_DIR), alias="SM_MODEL_DIR", description="give a directory")

    @property
    def mounted_model(self) -> Path | None:
        """Directory of a base model that SageMaker has mounted, None if it comes from the Hub."""
        return self.model_dir if (self.model_dir / "config.json").is_file() else None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; raise `SettingsError` for the first variable that is missing or invalid."""
    try:
        settings = Settings.model_validate(dict(environment))
    except ValidationError as error:
        variable = str(first_error(error)["loc"][0])
        remedies = {field.alias: field.description for field in Settings.model_fields.values()}
        raise SettingsError(variable, environment.get(variable), remedies[variable] or "") from None
    _check_token_limits(settings)
    if settings.port == settings.engine_port:
        raise SettingsError("ENGINE_PORT", str(settings.engine_port), "the gateway already uses this port")
    return settings


def _check_token_limits(settings: Settings) -> None:
    if settings.max_input_tokens >= settings.max_total_tokens:
        raise SettingsConflict(
            "MAX_INPUT_LENGTH",
            str(settings.max_input_tokens),
            f"MAX_INPUT_LENGTH must be below MAX_TOTAL_TOKENS, which is {settings.max_total_tokens}",
        )
    if settings.default_new_tokens > settings.max_new_tokens:
        raise SettingsConflict(
            "DEFAULT_MAX_NEW_TOKENS",
            str(settings.default_new_tokens),
            f"DEFAULT_MAX_NEW_TOKENS must be at most MAX_NEW_TOKENS, which is {settings.max_new_tokens}",
        )
