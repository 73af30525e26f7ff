"""A probe by vLLM's `/v1/completions`."""

from __future__ import annotations

from container.gateway.errors import GatewayError
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import FLOOR, TEXT, Probe
from container.gateway.schemas.openai import Json

#: The route of the plugin that reports release, dtype and device.
FACTS = "/adapter_store/engine"


def facts_of(answer: Json) -> EngineFacts:
    """Return the facts that an answer of `FACTS` has; raise `GatewayError` for an answer without them."""
    try:
        return EngineFacts("vllm", answer["release"], answer["dtype"], answer["device"])
    except KeyError:
        raise GatewayError(
            500,
            "internal",
            f"vLLM does not answer {FACTS}: its environment lacks this project's plugins; build the image "
            "again, or run `make setup` where vLLM runs without one",
        ) from None


def probe_body(model: str) -> Json:
    """Return the request; `prompt_logprobs: 0` asks for the prompt's own tokens alone."""
    return {"model": model, "prompt": TEXT, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}


def probe_of(answer: Json) -> Probe:
    """Return the probe that an answer has; raise `GatewayError` for an answer without it."""
    try:
        # The first token has no log probability; each other one a dictionary with its own id alone.
        positions = answer["choices"][0]["prompt_logprobs"][1:]
        found = [float(token["logprob"]) for position in positions for token in position.values()]
    except (LookupError, TypeError, AttributeError, ValueError):
        raise GatewayError.generation() from None
    # NaN is not above the floor.
    return Probe(tuple(value if value > FLOOR else FLOOR for value in found))
