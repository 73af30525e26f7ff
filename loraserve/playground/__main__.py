"""`python -m loraserve.playground SETTINGS`: serve the page; `loraserve playground` runs it."""

from __future__ import annotations

import sys

from loraserve.playground.server import serve
from loraserve.playground.settings import PageSettings

if __name__ == "__main__":
    serve(PageSettings.from_json(sys.argv[1]))
