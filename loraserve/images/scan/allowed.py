"""Vulnerabilities that the project accepts for a time: `container/allowed-vulnerabilities.yaml`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from loraserve.images.scan.vulnerability import Vulnerability
from stacks.project import ROOT
from stacks.typed_yaml import Strict, read

FILE = ROOT / "container" / "allowed-vulnerabilities.yaml"


class AllowedVulnerability(Strict):
    """One accepted vulnerability."""

    id: str
    """Its name as the scanner writes it, e.g. CVE-2024-37891."""
    package: str
    """The package that has it."""
    reason: str
    """Reason why it does no harm here."""
    until: date
    """Last day on which it does not count."""

    def covers(self, found: Vulnerability, today: date) -> bool:
        """Return whether this entry accepts a vulnerability today."""
        named = (self.id, self.package) == (found.id, found.package.name)
        return named and today <= self.until


class AllowedVulnerabilities(Strict):
    """The file."""

    allowed: list[AllowedVulnerability]
    """The accepted vulnerabilities."""


def read_allowed(path: Path = FILE) -> list[AllowedVulnerability]:
    """Read the file; raises `ConfigError`."""
    return read(path, AllowedVulnerabilities).allowed
