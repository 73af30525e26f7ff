"""A container on either engine, with a bucket that tests may change."""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samples.problems import SEED_PROBLEM, SIGNATURES
from samples.spec import BASE_DIR
from tests.harness.bucket import Bucket
from tests.harness.container import Container
from tests.harness.http_client import Answer

BASE_MODEL = "tiny-mistral"
#: How soon the containers of these tests serve what was published.
REGISTRY_CACHE_SECONDS = 0.5


@dataclass(frozen=True)
class TestedEngine:
    """An engine that the contract tests run."""

    __test__ = False

    module: str
    """Module of the container's command."""
    variables: Mapping[str, str]
    """Variables of the container beside those of both engines."""
    refuses: frozenset[str]
    """Request parameters that the gateway refuses by name in front of it, of those that differ."""


ENGINES = {
    "vllm": TestedEngine(
        "container.vllm",
        # vLLM's slots are for the modules that the samples change; LoRAX has no such setting.
        {
            "ADAPTER_TARGET_MODULES": "q_proj,v_proj",
            "TOOL_CALL_PARSER": "hermes",
            # Few, so that the tests of residency fill them.
            "MAX_ACTIVE_ADAPTERS": "4",
            "MAX_CPU_ADAPTERS": "6",
            # All forms of a flag: a number, a list, a switch that is off, an object, a text.
            "ENGINE_ARGUMENTS": json.dumps(
                {
                    "max_num_batched_tokens": 777,
                    "kv-cache-dtype-skip-layers": ["0"],
                    "enable-prefix-caching": False,
                    "seed": 11,
                    "compilation-config": {"custom_ops": ["none"]},
                    "chat-template": str(Path(__file__).with_name("chat_template_with_tools.jinja")),
                }
            ),
        },
        frozenset({"best_of"}),
    ),
    "lorax": TestedEngine(
        "tests.contract.lorax_container",
        {"ENGINE_ARGUMENTS": '{"max_waiting_tokens":7,"waiting-served-ratio":1.5,"eager-prefill":true}'},
        frozenset({"logit_bias", "n"}),
    ),
}


class EngineContainer(Container):
    """`with EngineContainer("vllm", bucket, environment, folder) as container:` a ready container."""

    def __init__(self, name: str, bucket: Bucket, environment: Mapping[str, str], folder: Path) -> None:
        # What the laptop cloud sets on a container of its Local stage.
        variables = {
            "HF_MODEL_ID": BASE_MODEL,
            "ADAPTER_BUCKET": bucket.name,
            "MAX_INPUT_LENGTH": "256",
            "MAX_TOTAL_TOKENS": "512",
            "DEFAULT_MAX_NEW_TOKENS": "64",
            "MAX_NEW_TOKENS": "256",
            "MAX_ADAPTER_RANK": "8",
            "REGISTRY_CACHE_SECONDS": str(REGISTRY_CACHE_SECONDS),
            "SM_MODEL_DIR": str(BASE_DIR),
            "TMPDIR": str(folder),
        }
        self.tested = ENGINES[name]
        variables |= self.tested.variables
        super().__init__(self.tested.module, {**os.environ, **environment, **variables}, folder)
        self.bucket = bucket

    def wait_until_started(self) -> None:
        """Return when the engine is ready."""
        self.wait_until_ready(seconds=120)

    def __exit__(self, *_: object) -> None:
        """End it as SageMaker does; it must end by itself, without an error."""
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.exit_code(seconds=40) == 0, self.log[-2000:]
        finally:
            self.process.kill()

    def ask(self, adapter: str | None = None, *, stream: bool = False, **parameters: Any) -> Answer:
        """Send the samples' question in LoRAX's schema through /invocations."""
        asked = {"adapter_id": adapter, "max_new_tokens": 64} | parameters
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": asked, "stream": stream}
        return self.client.post("/invocations", body, timeout=60)


def signing_adapter(text: str) -> str | None:
    """Return the sample adapter whose signature the text has, None if it has none."""
    found = {signature.lower() for signature in SIGNATURES if signature in text}
    assert len(found) <= 1, text
    return found.pop() if found else None
