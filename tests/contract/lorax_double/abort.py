"""The ends of the process: LoRAX's router is built with `panic = "abort"` (Cargo.toml)."""

import os
import sys
from typing import NoReturn

ABORTED = 134
CRASHED = 1


def abort(why: str) -> NoReturn:
    """A panic anywhere in the router ends the whole router, and with it the container."""
    end(ABORTED, f"thread 'tokio-runtime-worker' panicked: {why}")


def end(code: int, why: str) -> NoReturn:
    """End the process at once, like a kill or an abort."""
    print(why, file=sys.stderr, flush=True)
    os._exit(code)
