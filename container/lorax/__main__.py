"""`python -m container.lorax serve`: the command of the LoRAX container."""

from __future__ import annotations

import sys

from container.gateway.main import main
from container.lorax.command import lorax_launch

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lorax_launch))
