"""pip-audit: the Python packages of an image, by the OSV service; needs network.

pip-audit 2.10.1 is pinned in requirements-audit.txt. It answers "no known vulnerabilities" with exit code 0
also when it could look up no package, so each package's entry is checked here. It names no severities.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

from loraserve.images.scan.contents import ImageContents, NotScanned
from loraserve.images.scan.packages import ImagePackage
from loraserve.images.scan.programs import run_scanner
from loraserve.images.scan.vulnerability import PackagesByUrl, ScannerResult, Severity, first_of
from loraserve.setup.isolated import AUDITOR

#: This project's own package (pyproject.toml); it is not on PyPI.
PROJECT = "lora-serving-sagemaker"
#: Exit code with vulnerabilities; an error has it, too, and then there is no document.
_FOUND = 1
#: Another service with OSV's interface; pip-audit's own variable.
_URL = "PIP_AUDIT_OSV_URL"


class PipAudit:
    """pip-audit in its separate environment."""

    name = "pip-audit"

    def program(self) -> str | None:
        """See `VulnerabilityScanner`."""
        return str(AUDITOR.folder / "bin" / "pip-audit") if AUDITOR.is_ready() else None

    def scan(self, contents: ImageContents, sbom: str) -> ScannerResult:
        """See `VulnerabilityScanner`; all that the project adds must be from PyPI."""
        others = sorted(package.name for package in contents.added() if package.kind != "pypi")
        if others:
            raise NotScanned(
                f"pip-audit knows packages of PyPI only, and this image adds {', '.join(others)}: "
                "install grype"
            )
        asked = [package for package in contents.packages if _can_be_asked(package)]
        packages = PackagesByUrl(contents)
        entries: list[dict[str, Any]] = []
        for pins in _without_duplicates(asked):
            entries += self._audit(pins)
        skipped = {entry["name"] for entry in entries if "skip_reason" in entry}
        missing = sorted(
            package.name
            for package in contents.added()
            if package.name != PROJECT and (package not in asked or _name(package) in skipped)
        )
        if missing:
            raise NotScanned(f"pip-audit has no entry for {', '.join(missing)}: install grype or trivy")
        found = [
            vulnerability
            for entry in entries
            for known in entry.get("vulns", [])
            for vulnerability in packages.with_vulnerability(
                f"pkg:pypi/{entry['name']}@{entry['version']}",
                id=known["id"],
                severity=Severity.UNKNOWN.name,
                fixed=first_of(known, "fix_versions"),
            )
        ]
        unknown = sum(package not in asked and package.name != PROJECT for package in contents.packages)
        return ScannerResult(
            scanner="pip-audit",
            database=f"asked {_service()}",
            vulnerabilities=tuple(found),
            left_out=f"{unknown + len(skipped)} packages of the base that OSV does not have under PyPI"
            if unknown or skipped
            else None,
        )

    def _audit(self, pins: dict[str, str]) -> list[dict[str, Any]]:
        text = "".join(f"{name}=={version}\n" for name, version in pins.items())
        command = [
            *(self.program() or self.name, "--requirement", "pins.txt", "--no-deps", "--disable-pip"),
            *(
                "--vulnerability-service",
                "osv",
                "--format",
                "json",
                "--desc",
                "off",
                "--progress-spinner",
                "off",
            ),
        ]
        run = run_scanner(
            command, files={"pins.txt": text}, prefix="PIP_AUDIT_", keep=_URL, settings={"NO_COLOR": "1"}
        )
        if run.status not in (0, _FOUND) or not run.output.strip():
            raise NotScanned(
                f"pip-audit got no answer from {_service()} ({run.last_line.partition(': ')[0]}): it needs "
                "network. Without network, install grype or trivy with a database"
            )
        entries: list[dict[str, Any]] = run.document(self.name)["dependencies"]
        if len(entries) != len(pins):
            raise NotScanned(
                f"pip-audit reports {len(entries)} of {len(pins)} packages: install grype or trivy"
            )
        return entries


def _service() -> str:
    return urlsplit(os.environ.get(_URL, "https://api.osv.dev")).netloc


def _can_be_asked(package: ImagePackage) -> bool:
    """Return whether it is one of PyPI's, with a version as PyPI has them."""
    try:
        Version(package.version)
    except InvalidVersion:
        return False
    return package.kind == "pypi" and package.name != PROJECT


def _without_duplicates(packages: Iterable[ImagePackage]) -> list[dict[str, str]]:
    """Return versions by name in as few parts as possible: a requirements file has one version of a name."""
    parts: list[dict[str, str]] = []
    for package in packages:
        name = _name(package)
        part = next((part for part in parts if part.get(name, package.version) == package.version), None)
        if part is None:
            parts.append(part := {})
        part[name] = package.version
    return parts


def _name(package: ImagePackage) -> str:
    """Return the normalised name, which the package URL has."""
    return package.purl.partition("/")[2].partition("@")[0]
