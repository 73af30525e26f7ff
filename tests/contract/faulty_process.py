"""The container's command with the faulty vLLM as its engine.

`CONSTANTS`, JSON, replaces numbers of seconds by shorter ones: {"container.gateway.main.DRAIN_SECONDS": 1}.
"""

import json
import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import contract_process

from container.gateway.engine.launch import Launch
from container.gateway.main import main
from container.gateway.settings import Settings


def launch(settings: Settings) -> Launch:
    engine = Path(__file__).with_name("faulty_vllm.py")
    return replace(
        contract_process.launch(settings), command=(sys.executable, str(engine), str(settings.engine_port))
    )


if __name__ == "__main__":
    for constant, value in json.loads(os.environ.get("CONSTANTS", "{}")).items():
        module, _, name = constant.rpartition(".")
        if not hasattr(import_module(module), name):
            sys.exit(f"there is no {constant}")
        setattr(import_module(module), name, value)
    sys.exit(main(sys.argv[1:], launch))
