"""`python -m tests.contract.lorax_double --port 8081`: lorax-launcher's command line, as far as we use it."""

import sys
import time
from pathlib import Path

from aiohttp import web

from tests.contract.lorax_double.options import read_command_line, read_options
from tests.contract.lorax_double.server import Server

#: lorax-launcher kills a router that has not finished its answers by then.
SHUTDOWN_SECONDS = 90
#: What has the place and the name of LoRAX's Python package.
SITE = Path(__file__).parent / "site"


def main() -> None:
    asked, options = read_command_line(), read_options()
    time.sleep(options.start_seconds)
    sys.path.append(str(SITE))
    web.run_app(
        Server(options).application(),
        host=asked.hostname,
        port=asked.port,
        # A caller who hangs up ends its handler, as in hyper.
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
