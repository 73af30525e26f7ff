"""The container's command with the fake vLLM as its engine."""

import os
import sys
from functools import partial

from container.gateway.engine.backend import EngineLaunch
from container.gateway.main import main
from container.gateway.settings import Settings
from container.vllm.backend import VllmBackend
from tests.contract.fake_vllm import BASE_MODEL


def launch(settings: Settings) -> EngineLaunch:
    return EngineLaunch(
        command=(sys.executable, "-m", "tests.contract.fake_vllm", str(settings.engine_port)),
        environment=dict(os.environ),
        connect=partial(
            VllmBackend,
            base_model=BASE_MODEL,
            max_input_tokens=settings.max_input_tokens,
            default_new_tokens=settings.default_new_tokens,
            cache=settings.adapter_cache_dir,
            resident=2,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], launch))
