"""`make images-scan`: bill of materials and known vulnerabilities of each built image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from loraserve.images.builders import Builder
from loraserve.images.scan.allowed import AllowedVulnerability
from loraserve.images.scan.contents import ImageContents, NotScanned, read_contents
from loraserve.images.scan.grype import Grype
from loraserve.images.scan.pip_audit import PipAudit
from loraserve.images.scan.sbom import sbom_text
from loraserve.images.scan.trivy import Trivy
from loraserve.images.scan.vulnerability import (
    ScannerResult,
    Severity,
    Vulnerability,
    VulnerabilityScanner,
)

#: In the order in which they are tried: those that know Debian's packages, too, come first.
SCANNERS: tuple[VulnerabilityScanner, ...] = (Grype(), Trivy(), PipAudit())


@dataclass(frozen=True)
class Gate:
    """Which vulnerabilities make a scan fail."""

    severity: Severity
    """The lowest severity that counts."""
    allowed: Sequence[AllowedVulnerability]
    today: date

    def counts(self, found: Vulnerability) -> bool:
        """Return whether it fails the scan: it is in a package that this project adds, and not allowed."""
        return found.added and found.severity >= self.severity and not self.allows(found)

    def allows(self, found: Vulnerability) -> bool:
        """Return whether an entry of the file accepts it."""
        return any(entry.covers(found, self.today) for entry in self.allowed)


@dataclass(frozen=True)
class ImageScan:
    """The scan of one engine's image."""

    engine: str
    contents: ImageContents
    sbom: Path
    """The bill of materials, written."""
    result: ScannerResult | None
    problem: str | None
    """Reason why it was not scanned; None if it was."""


def scan_image(
    engine: str, builder: Builder, scanner: str | None, *, image: str, base: str, output: Path
) -> ImageScan:
    """Write an image's bill of materials to `output`, and scan it.

    `base` is the image that it was built from. Without a scanner, or if the scanner fails, the
    result has the reason in `problem`. Raises `NotScanned` if the image cannot be read, and `ProgramFailed`.
    """
    contents = read_contents(builder, image, base)
    text = sbom_text(contents)
    output.mkdir(parents=True, exist_ok=True)
    sbom = output / f"{engine}.cdx.json"
    sbom.write_text(text)
    try:
        result = find_scanner(scanner).scan(contents, text)
    except NotScanned as error:
        return ImageScan(engine, contents, sbom, None, str(error))
    ordered = sorted(
        set(result.vulnerabilities),
        key=lambda found: (
            not found.added,
            -found.severity,
            found.package.name,
            found.id,
            found.package.path,
        ),
    )
    done = ScannerResult(result.scanner, result.database, tuple(ordered), result.left_out)
    return ImageScan(engine, contents, sbom, done, None)


def find_scanner(name: str | None) -> VulnerabilityScanner:
    """Return the named scanner, or the first that is installed; raises `NotScanned`."""
    for scanner in SCANNERS:
        if name in (None, scanner.name) and scanner.program() is not None:
            return scanner
    missing = "none of grype, trivy and pip-audit" if name is None else f"no {name}"
    raise NotScanned(
        f"{missing} is installed here: install grype or trivy and fetch its database, or run make setup-scan "
        "for pip-audit, which needs network and knows Python's packages only"
    )


def exit_code(scans: Sequence[ImageScan], gate: Gate) -> int:
    """Return 3 if an image was not scanned, else 1 if a vulnerability counts, else 0."""
    if any(scan.result is None for scan in scans):
        return NotScanned.exit_code
    found = (vulnerability for scan in scans if scan.result for vulnerability in scan.result.vulnerabilities)
    return int(any(map(gate.counts, found)))
