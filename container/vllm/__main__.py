"""`python -m container.vllm serve`: the command of the vLLM container."""

from __future__ import annotations

import sys

from container.gateway.main import main
from container.vllm.command import vllm_launch

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], vllm_launch))
