"""The container's command with the faulty vLLM as its engine.

`CONSTANTS`, JSON, replaces numbers of seconds by shorter ones: {"container.gateway.main.DRAIN_SECONDS": 1}.
"""

import json
import os
import sys
from dataclasses import replace
from importlib import import_module

from container.gateway.engine.backend import EngineLaunch
from container.gateway.main import main
from container.gateway.settings import Settings
from tests.contract import contract_process


def launch(settings: Settings) -> EngineLaunch:
    command = (sys.executable, "-m", "tests.contract.faulty_vllm", str(settings.engine_port))
    return replace(contract_process.launch(settings), command=command)


if __name__ == "__main__":
    for constant, value in json.loads(os.environ.get("CONSTANTS", "{}")).items():
        module, _, name = constant.rpartition(".")
        if not hasattr(import_module(module), name):
            sys.exit(f"there is no {constant}")
        setattr(import_module(module), name, value)
    sys.exit(main(sys.argv[1:], launch))
