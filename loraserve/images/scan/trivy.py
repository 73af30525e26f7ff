"""Trivy, with the vulnerability database that is on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from loraserve.images.scan.contents import ImageContents, NotScanned
from loraserve.images.scan.programs import run_scanner
from loraserve.images.scan.vulnerability import PackagesByUrl, ScannerResult

_REMEDY = "`trivy image --download-db-only` fetches it"
#: Environment instead of options: an older Trivy ignores a variable that it does not know.
_SETTINGS = {
    "TRIVY_SKIP_DB_UPDATE": "true",
    "TRIVY_SKIP_JAVA_DB_UPDATE": "true",
    "TRIVY_OFFLINE_SCAN": "true",
    "TRIVY_SKIP_VERSION_CHECK": "true",
    "TRIVY_DISABLE_TELEMETRY": "true",
    "TRIVY_LIST_ALL_PKGS": "true",
    "NO_COLOR": "1",
}


class Trivy:
    """Trivy; it does not refuse an old database, so its date is reported."""

    name = "trivy"

    def program(self) -> str | None:
        """See `VulnerabilityScanner`."""
        return shutil.which("trivy")

    def scan(self, contents: ImageContents, sbom: str) -> ScannerResult:
        """See `VulnerabilityScanner`."""
        run = self._run(["sbom", "--format", "json", "image.cdx.json"], {"image.cdx.json": sbom})
        if run.status != 0:
            raise NotScanned(f"trivy has no usable database ({run.last_line}): {_REMEDY}")
        results = run.document(self.name).get("Results") or []
        packages = PackagesByUrl(contents)
        seen = {
            package
            for result in results
            for listed in result.get("Packages") or []
            for package in packages.packages(_purl(listed.get("Identifier")))
        }
        unseen = [package for package in contents.packages if package not in seen]
        added = sorted({package.name for package in contents.added()} & {package.name for package in unseen})
        if added:
            raise NotScanned(f"trivy does not know {', '.join(added)}, which the image adds: install grype")
        found = [
            vulnerability
            for result in results
            for entry in result.get("Vulnerabilities") or []
            for vulnerability in packages.with_vulnerability(
                _purl(entry.get("PkgIdentifier")),
                id=entry["VulnerabilityID"],
                severity=entry.get("Severity"),
                fixed=entry.get("FixedVersion"),
            )
        ]
        version = self._run(["version", "--format", "json"], {}).document(self.name)
        updated = version.get("VulnerabilityDB", {}).get("UpdatedAt")
        return ScannerResult(
            scanner=f"trivy {version.get('Version', '')}".strip(),
            database=f"database of {str(updated)[:10] if updated else 'an unknown date'}",
            vulnerabilities=tuple(found),
            left_out=f"{len(unseen)} packages of the base that trivy does not know" if unseen else None,
        )

    def _run(self, arguments: list[str], files: Mapping[str, str]) -> Any:
        return run_scanner(
            [self.program() or self.name, *arguments],
            files=files,
            prefix="TRIVY_",
            keep="TRIVY_CACHE_DIR",
            settings=_SETTINGS,
        )


def _purl(identifier: Any) -> str:
    return str((identifier or {}).get("PURL", ""))
