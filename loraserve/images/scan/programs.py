"""Scanners as subprocesses: in an empty directory, and without settings that hide findings."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loraserve.images.scan.contents import NotScanned

#: Time limit of one scanner for one image, in seconds; pip-audit sends a request for each package.
LIMIT_S = 600
#: Of a scanner's last line; its errors can be long.
LINE_CHARACTERS = 200


@dataclass(frozen=True)
class ScannerRun:
    """Exit code and output of a scanner."""

    status: int
    output: str
    errors: str

    def document(self, scanner: str) -> dict[str, Any]:
        """Return the JSON object on standard output; raises `NotScanned`."""
        try:
            found = json.loads(self.output)
            if not isinstance(found, dict):
                raise TypeError("not an object")
        except (ValueError, TypeError) as error:
            raise NotScanned(f"{scanner} answers with no JSON document: {self.last_line}") from error
        return found

    @property
    def last_line(self) -> str:
        """The last line of the errors, or of the output."""
        lines = (self.errors.strip() or self.output.strip() or f"exit code {self.status}").splitlines()
        return lines[-1][:LINE_CHARACTERS]


def run_scanner(
    command: Sequence[str], *, files: Mapping[str, str], prefix: str, keep: str, settings: Mapping[str, str]
) -> ScannerRun:
    """Run a scanner in an empty directory that has only `files`; raises `NotScanned` after the time limit.

    Of the user's variables that begin with `prefix`, only those that begin with `keep` pass: a severity or an
    ignore file that is set for other projects would hide findings here. `settings` are added.
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefix) or name.startswith(keep)
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**passed, **settings},
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotScanned(f"{Path(command[0]).name} did not end within {LIMIT_S} s") from error
    return ScannerRun(done.returncode, done.stdout, done.stderr)
