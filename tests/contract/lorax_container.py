"""The LoRAX container's command with the double in LoRAX's place."""

import sys
from dataclasses import replace

from container.gateway.engine.backend import EngineLaunch
from container.gateway.main import main
from container.gateway.settings import Settings
from container.lorax.command import lorax_launch

DOUBLE = (sys.executable, "-m", "tests.contract.lorax_double")


def launch(settings: Settings) -> EngineLaunch:
    found = lorax_launch(settings)
    flags = found.command[1:]
    return replace(found, command=(*DOUBLE, *flags))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], launch))
