"""The scan's result as a table for people and as a document for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from loraserve.images.scan.scan import Gate, ImageScan
from loraserve.images.scan.vulnerability import Vulnerability


def table(scan: ImageScan, gate: Gate, *, base_too: bool) -> Table:
    """Return a row for each vulnerability; those of the base only with `base_too`."""
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("severity", "vulnerability", "package", "installed", "fixed in", "from", "counts"):
        shown.add_column(column, overflow="fold")
    for found in _found(scan):
        if found.added or base_too:
            shown.add_row(
                found.severity.name.lower(),
                found.id,
                found.package.name,
                found.package.version,
                found.fixed or "no fix",
                "project" if found.added else "base",
                "yes" if gate.counts(found) else "allowed" if gate.allows(found) else "no",
            )
    return shown


def summary(scan: ImageScan, gate: Gate) -> str:
    """Return one line about an image."""
    added = len(scan.contents.added())
    packages = f"{added} packages added, {len(scan.contents.packages) - added} of the base"
    if scan.result is None:
        return f"{scan.engine}: {packages}; not scanned: {scan.problem}"
    counting = sum(map(gate.counts, scan.result.vulnerabilities))
    base = Counter(found.severity for found in scan.result.vulnerabilities if not found.added)
    below = ", ".join(f"{base[severity]} {severity.name.lower()}" for severity in sorted(base, reverse=True))
    left_out = f"; not scanned: {scan.result.left_out}" if scan.result.left_out else ""
    return (
        f"{scan.engine}: {packages}; {scan.result.scanner}, {scan.result.database}; vulnerabilities that "
        f"count: {counting}; of the base: {below or 'none'}{left_out}"
    )


def document(scans: Sequence[ImageScan], gate: Gate) -> str:
    """Return one JSON document, for programs."""
    return json.dumps(
        {"severity": gate.severity.name.lower(), "images": [_image(scan, gate) for scan in scans]}, indent=1
    )


def _image(scan: ImageScan, gate: Gate) -> dict[str, Any]:
    result = scan.result
    return {
        "engine": scan.engine,
        "image": scan.contents.name,
        "id": scan.contents.image.id,
        "base": scan.contents.base,
        "sbom": str(scan.sbom),
        "packages": {"all": len(scan.contents.packages), "added": len(scan.contents.added())},
        "scanned": result is not None,
        "problem": scan.problem,
        "scanner": None if result is None else result.scanner,
        "database": None if result is None else result.database,
        "left_out": None if result is None else result.left_out,
        "vulnerabilities": [
            {
                "id": found.id,
                "severity": found.severity.name.lower(),
                "package": found.package.name,
                "installed": found.package.version,
                "fixed": found.fixed,
                "purl": found.package.purl,
                "path": f"/{found.package.path}",
                "from": "project" if found.added else "base",
                "layer": found.layer,
                "allowed": gate.allows(found),
                "counts": gate.counts(found),
            }
            for found in _found(scan)
        ],
    }


def _found(scan: ImageScan) -> tuple[Vulnerability, ...]:
    return () if scan.result is None else scan.result.vulnerabilities
