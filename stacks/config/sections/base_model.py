"""The base model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from adapters.hub_ids import is_hub_id
from adapters.validation.base_name import MAX_NAME_LENGTH
from stacks.typed_yaml import Strict, shaped

#: A branch or a tag may move between two instances' starts.
_COMMIT = shaped("[0-9a-f]{40}", "write the 40 digits of a commit, not a branch or a tag, in quotes")


class BaseModelSource(Strict):
    """The base model: fetched from the Hub by the container, or mounted from the bucket."""

    name: str = "mistralai/Mistral-7B-Instruct-v0.1"
    """Hub id, or any name for a local model; adapters must have been trained on a model of this name, or of
    one in `also_known_as`."""
    also_known_as: list[Annotated[str, Field(max_length=MAX_NAME_LENGTH)]] = Field([], max_length=100)
    """Other names that mean this base model where an adapter's config has them as `base_model_name_or_path`:
    of a quantized or copied one (`unsloth/mistral-7b-instruct-v0.1-bnb-4bit`), or a path on the machine that
    trained (`/opt/ml/model`). `""` stands for a config without a name. The adapter's dimensions are checked
    all the same. Upper and lower case are the same, as in the Hub's ids."""
    revision: Annotated[str, _COMMIT] | None = None
    """The Hub commit."""
    path: str | None = None
    """A local directory with the model, relative to the stage file; it is uploaded to the bucket and mounted
    by SageMaker, so the endpoint needs no Hub."""

    mirror: bool = False
    """Copy the model from the Hub into the bucket, from where SageMaker mounts it: instances start without
    the Hub and without a token. Without it the container fetches the model, and has no token: a gated or
    private model fails the deployment of the store in its first minute. Either way the weights must be in
    safetensors format, because adapters are checked against their dimensions."""

    @model_validator(mode="after")
    def _one_source(self) -> BaseModelSource:
        if (self.revision is None) == (self.path is None):
            raise ValueError("give either revision (a 40-digit Hub commit) or path (a local directory)")
        if self.mirror and self.path is not None:
            raise ValueError("mirror is for models on the Hub: a local one is uploaded anyway; leave it out")
        if self.path is None and self.name and not is_hub_id(self.name):
            raise ValueError(f"name: {self.name!r} is no id of the Hub: write organization/model")
        return self
