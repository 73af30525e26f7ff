"""Grype, with the vulnerability database that is on this machine."""

from __future__ import annotations

import shutil

from loraserve.images.scan.contents import ImageContents, NotScanned
from loraserve.images.scan.programs import run_scanner
from loraserve.images.scan.vulnerability import PackagesByUrl, ScannerResult, first_of

_REMEDY = "`grype db update` fetches it; without network, `grype db import FILE` on this machine"
#: Grype's exit code with `fail-on-severity` in its configuration: the document is complete.
_ABOVE_SEVERITY = 2


class Grype:
    """Grype; it refuses a database older than five days by itself."""

    name = "grype"

    def program(self) -> str | None:
        """See `VulnerabilityScanner`."""
        return shutil.which("grype")

    def scan(self, contents: ImageContents, sbom: str) -> ScannerResult:
        """See `VulnerabilityScanner`."""
        run = run_scanner(
            [self.program() or self.name, "sbom:image.cdx.json", "--output", "json", "--quiet"],
            files={"image.cdx.json": sbom},
            prefix="GRYPE_",
            keep="GRYPE_DB_",
            settings={"GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_CHECK_FOR_APP_UPDATE": "false"},
        )
        if run.status not in (0, _ABOVE_SEVERITY):
            raise NotScanned(f"grype has no usable database ({run.last_line}): {_REMEDY}")
        document = run.document(self.name)
        wanted = contents.distribution
        if wanted is not None and document.get("distro", {}).get("name") != wanted.id:
            raise NotScanned(f"grype does not recognise {wanted.id} {wanted.version}: use a newer grype")
        packages = PackagesByUrl(contents)
        found = [
            vulnerability
            for match in document["matches"]
            for vulnerability in packages.with_vulnerability(
                match["artifact"]["purl"],
                id=match["vulnerability"]["id"],
                severity=match["vulnerability"].get("severity"),
                fixed=first_of(match["vulnerability"]["fix"], "versions"),
            )
        ]
        ignored = len(document.get("ignoredMatches") or [])
        tool = document["descriptor"]
        return ScannerResult(
            scanner=f"grype {tool['version']}",
            database=f"database of {_built(tool.get('db') or {})}",
            vulnerabilities=tuple(found),
            left_out=f"{ignored} findings that grype's configuration ignores" if ignored else None,
        )


def _built(database: dict[str, object]) -> str:
    """Return the database's date; in older versions it is one level higher."""
    status = database.get("status")
    found = status.get("built") if isinstance(status, dict) else database.get("built")
    return str(found)[:10] if found else "an unknown date"
