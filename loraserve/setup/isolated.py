"""Separate environments for programs that this project runs and does not import."""

from __future__ import annotations

import shutil
import venv
from dataclasses import dataclass
from pathlib import Path

from loraserve.setup.packages import install, pins
from loraserve.setup.paths import ROOT
from loraserve.setup.stamps import is_done, step


@dataclass(frozen=True)
class SeparateEnvironment:
    """Separate environment: packages whose pins conflict with the main environment's."""

    title: str
    folder: Path
    requirements: str

    def is_ready(self) -> bool:
        """Return true if it exists and was made from the present requirements."""
        return is_done(self.folder, self.title, [self.requirements])

    def ensure(self) -> None:
        """Create it unless it is ready; raises `SetupError`."""
        step(self.title, [self.requirements], self._make, self.folder)

    def _make(self) -> None:
        """Recreate it, so that it has only the pinned packages; the main environment's pip installs them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=False, symlinks=True)
        install(pins([self.requirements]), self.folder, self.title)


#: Third-party clients, which the tests run against the endpoint.
CLIENTS = SeparateEnvironment("clients for the tests", ROOT / ".venv-clients", "requirements-clients.txt")
#: checkov, which the tests run on the templates.
SCANNER = SeparateEnvironment("template scanner for the tests", ROOT / ".venv-scan", "requirements-scan.txt")
#: pip-audit, which `make images-scan` runs where there is no other vulnerability scanner.
AUDITOR = SeparateEnvironment("package auditor", ROOT / ".venv-audit", "requirements-audit.txt")
#: Gradio, for the page of `make playground`.
PLAYGROUND = SeparateEnvironment(
    "playground's page", ROOT / ".venv-playground", "requirements-playground.txt"
)
