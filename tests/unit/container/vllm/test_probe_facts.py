"""Facts in vLLM's answer about itself, and the error for an engine without the plugins."""

import pytest

from container.gateway.errors import GatewayError
from container.gateway.proof.conditions import EngineFacts
from container.vllm.probe import facts_of


def test_facts_are_those_of_the_answer() -> None:
    answer = {"release": "0.32.0", "dtype": "float32", "device": "cpu"}
    assert facts_of(answer) == EngineFacts("vllm", "0.32.0", "float32", "cpu")


def test_an_engine_without_the_plugins_is_named_with_the_remedy() -> None:
    with pytest.raises(GatewayError, match="lacks this project's plugins; build the image again"):
        facts_of({"detail": "Not Found"})
