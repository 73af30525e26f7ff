"""The command `scan-images`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson


def command(
    engine: Annotated[str | None, typer.Argument(help="lorax or vllm; without it, both.")] = None,
    severity: Annotated[
        str, typer.Option(help="Lowest severity that counts: low, medium, high or critical.")
    ] = "high",
    scanner: Annotated[
        str | None, typer.Option(help="grype, trivy or pip-audit; without it, the first that is installed.")
    ] = None,
    base_too: Annotated[bool, typer.Option("--base", help="Also list the base image's.")] = False,
    folder: Annotated[
        Path, typer.Option("--output", help="Folder of the bills of materials.")
    ] = Path("out/images"),
    as_json: AsJson = False,
) -> None:
    """List the packages and the known vulnerabilities of the images that `make images` built.

    Writes a bill of materials of each image (CycloneDX 1.6, JSON): Python's, Debian's and conda's packages of
    the whole image, each marked as this project's or the base's. Grype or Trivy then look for known
    vulnerabilities with the database that is on this machine; nothing is downloaded. Where neither is
    installed, pip-audit asks OSV's service for Python's packages.

    A vulnerability counts if it is in a package that this project adds, has the severity or a higher one, or
    none, and container/allowed-vulnerabilities.yaml does not accept it.

    Exit codes: 0 all images scanned and no vulnerability counts; 1 one counts; 2 an unusable argument or file;
    3 an image was not scanned, whatever was found in others.

    Example: make images-scan

    Example: make images-scan ARGS='vllm --severity critical --json'
    """
    from loraserve.images.builders import find_builder
    from loraserve.images.scan.allowed import read_allowed
    from loraserve.images.scan.report import document, summary, table
    from loraserve.images.scan.scan import SCANNERS, Gate, scan_image
    from loraserve.images.scan.vulnerability import Severity

    engines = _chosen("ENGINE", engine, _engines())
    [wanted] = _chosen("--severity", severity, ["low", "medium", "high", "critical"])
    _chosen("--scanner", scanner, [known.name for known in SCANNERS])
    gate = Gate(Severity.read(wanted), read_allowed(), datetime.now(UTC).date())
    builder = find_builder()
    scans = []
    with report_interrupt("no image was changed"):
        for name in engines:
            with errors.status(f"scanning {name} …"):
                image, base = _built(name)
                scans.append(scan_image(name, builder, scanner, image=image, base=base, output=folder))
    if as_json:
        typer.echo(document(scans, gate))
    for scan in scans:
        if not as_json and scan.result is not None and scan.result.vulnerabilities:
            output().print(table(scan, gate, base_too=base_too))
        mark = "[green]✓[/]"
        errors.print(f"{mark} {summary(scan, gate)}")
