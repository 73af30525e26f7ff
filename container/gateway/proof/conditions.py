"""Conditions under which a probe was taken: two probes are comparable only if they have the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from container.gateway.proof.probe import TEXT


@dataclass(frozen=True)
class EngineFacts:
    """Facts of a running engine, as it reports them."""

    name: str
    release: str
    """Version of the engine; what identifies the build if it has no version."""
    dtype: str
    """Type of numbers that the model computes with: float32, bfloat16 or float16."""
    device: str
    """Name of the processor that computes, such as NVIDIA A10G; `cpu` for all CPUs."""


@dataclass(frozen=True)
class BaseModel:
    """The base model that an endpoint serves; empty texts for what its settings leave open."""

    model: str
    revision: str
    quantization: str


@dataclass(frozen=True)
class Conditions:
    """All that the values of a probe depend on, but the adapter."""

    engine: EngineFacts
    base: BaseModel
    text: str = hashlib.sha256(TEXT.encode()).hexdigest()
    """SHA-256 (hex) of the probe's text."""

    @property
    def digest(self) -> str:
        """The part of a record's key that names the conditions: 16 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
