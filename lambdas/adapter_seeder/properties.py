"""The custom resource's properties, all of them read before any work begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from adapters.validation.rules import Rules


class MissingProperty(Exception):
    """The template lacks a property that this version of the seeder needs."""


@dataclass(frozen=True)
class Properties:
    """The properties that `stacks.adapter_store` sets; CloudFormation passes each as a string."""

    bucket: str
    manifest_bucket: str
    manifest_key: str
    engine: str
    max_adapter_rank: str
    adapter_target_modules: str
    """Separated by commas; empty for all."""
    tensor_parallel: str
    base_model: str
    base_model_names: str
    """Other names of the base model in adapters' configs, a list in JSON."""
    base_model_revision: str
    """The Hub commit; empty for a local model."""
    model_prefix: str
    """Key prefix that the model is mirrored to; empty if it is not mirrored."""
    trust_remote_code: str
    hub_endpoint: str
    hub_token_secret: str
    """Name of the secret; empty if there is none."""
    owner: str
    retain_data: str

    @classmethod
    def read(cls, properties: Mapping[str, str]) -> Properties:
        """Read all properties; raises `MissingProperty` with the name of the first that is missing."""
        values = {}
        for field in fields(cls):
            key = "".join(word.capitalize() for word in field.name.split("_"))
            if not isinstance(properties.get(key), str):
                raise MissingProperty(f"the custom resource has no property {key}: deploy the stack again")
            values[field.name] = properties[key]
        return cls(**values)

    @property
    def rules(self) -> Rules:
        """The rules by which this stage checks adapters."""
        modules = tuple(self.adapter_target_modules.split(",")) if self.adapter_target_modules else None
        return Rules(
            self.engine,
            int(self.max_adapter_rank),
            self.base_model,
            target_modules=modules,
            gpus=int(self.tensor_parallel),
            also_known_as=tuple(json.loads(self.base_model_names)),
        )
