"""The page's process: in its own environment, with a folder for uploads that is deleted with it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loraserve.playground.settings import PageSettings
from stacks.project import ROOT

#: Gradio, the Hub's client in it and others ask nothing outside: no statistics, no look for a newer version.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


@contextmanager
def page_process(
    python: Path, settings: PageSettings, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the page for the length of the block, with `python` of its environment."""
    with tempfile.TemporaryDirectory(prefix="playground-") as uploads:
        process = subprocess.Popen(
            [python, "-m", "loraserve.playground", settings.to_json()],
            cwd=ROOT,
            env={**environment, **QUIET, "GRADIO_TEMP_DIR": uploads},
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
