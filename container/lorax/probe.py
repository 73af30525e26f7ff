"""A probe by LoRAX's `/generate`."""

from __future__ import annotations

from container.gateway.errors import GatewayError
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import FLOOR, TEXT, Probe
from container.gateway.schemas.lorax import GenerateRequest, Parameters
from container.gateway.schemas.openai import Json

#: `decoder_input_details` adds the prompt's tokens with their log probabilities (`details.prefill`).
PROBE = GenerateRequest(
    inputs=TEXT, parameters=Parameters(max_new_tokens=1, details=True, decoder_input_details=True)
)
#: The route that reports dtype and device.
FACTS = "/info"


def facts_of(answer: Json) -> EngineFacts:
    """Return the facts that an answer of `FACTS` has; raise `GatewayError` for an answer without them.

    LoRAX reports the version 0.1.0 for every build; `sha` is the commit, in builds that have it.
    """
    try:
        release = " ".join(filter(None, (answer["version"], answer["sha"])))
        return EngineFacts(
            "lorax", release, answer["model_dtype"].removeprefix("torch."), answer["model_device_type"]
        )
    except (KeyError, AttributeError):
        raise GatewayError.generation() from None


def probe_of(answer: Json) -> Probe:
    """Return the probe that an answer has; raise `GatewayError` for an answer without it."""
    try:
        # The first token has no log probability; LoRAX writes NaN as null.
        found = [token["logprob"] for token in answer["details"]["prefill"][1:]]
        return Probe(tuple(FLOOR if value is None else max(FLOOR, float(value)) for value in found))
    except (LookupError, TypeError, ValueError):
        raise GatewayError.generation() from None
