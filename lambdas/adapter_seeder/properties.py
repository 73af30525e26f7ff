"""The custom resource's properties: all read before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from adapters.validation.check_adapter import Rules


class MissingProperty(Exception):
    """The template and the seeder do not fit together."""


@dataclass(frozen=True)
class Properties:
    """The resource's properties (set in `stacks.adapter_store`); CloudFormation passes each as a string."""

    bucket: str
    manifest_bucket: str
    manifest_key: str
    engine: str
    max_adapter_rank: str
    adapter_target_modules: str
    """Separated by commas; empty for all."""
    tensor_parallel: str
    base_model: str
    base_model_revision: str
    """The Hub commit; empty for a local model."""
    model_prefix: str
    """Where the model is mirrored to; empty if it is not."""
    trust_remote_code: str
    hub_endpoint: str
    hub_token_secret: str
    """Name of the secret; empty if there is none."""
    owner: str
    retain_data: str

    @classmethod
    def read(cls, properties: Mapping[str, str]) -> Properties:
        """Read them all; raises `MissingProperty` naming the first that is not there."""
        values = {}
        for field in fields(cls):
            key = "".join(word.capitalize() for word in field.name.split("_"))
            if not isinstance(properties.get(key), str):
                raise MissingProperty(f"the custom resource has no property {key}: deploy the stack again")
            values[field.name] = properties[key]
        return cls(**values)

    @property
    def rules(self) -> Rules:
        """What the stage demands of an adapter."""
        modules = tuple(self.adapter_target_modules.split(",")) if self.adapter_target_modules else None
        return Rules(
            self.engine,
            int(self.max_adapter_rank),
            self.base_model,
            target_modules=modules,
            gpus=int(self.tensor_parallel),
        )
