"""The command `scan-images`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson, require_choice

#: Folder of the bills of materials, which `make clean` removes.
OUTPUT = Path("out/images")


def command(
    engine: Annotated[
        str | None, typer.Option(help="Scan this engine's image only.", show_default="all engines")
    ] = None,
    base: Annotated[
        str, typer.Option(help="The base that the image was built from: `lock` or `stand-in`.")
    ] = "lock",
    severity: Annotated[
        str, typer.Option(help="Lowest severity that counts: low, medium, high or critical.")
    ] = "high",
    scanner: Annotated[
        str | None,
        typer.Option(help="grype, trivy or pip-audit.", show_default="the first that is installed"),
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--all", help="List the base image's vulnerabilities, too.")
    ] = False,
    folder: Annotated[Path, typer.Option("--output", help="Folder of the bills of materials.")] = OUTPUT,
    as_json: AsJson = False,
) -> None:
    """List packages and known vulnerabilities of the images.

    Writes a bill of materials of each image (CycloneDX 1.6, JSON): the packages of Python, Debian and conda
    in the whole image, each marked as this project's or the base's. Grype or Trivy then look for known
    vulnerabilities with the database that is on this machine; nothing is downloaded. Where neither is
    installed, pip-audit asks OSV's service about Python's packages.

    A vulnerability counts if it is in a package that this project adds, has the severity or a higher one, or
    none, and container/allowed-vulnerabilities.yaml does not accept it.

    Exit codes: 0 all images scanned and no vulnerability counts; 1 one counts; 2 an unusable argument or
    file; 3 an image was not scanned, whatever was found in the others.

    Example: make images-scan

    Example: make images-scan ENGINE=vllm ARGS='--severity critical --json'

    Example: make images-scan BASE=stand-in, after make images BASE=stand-in
    """
    from adapters.engines.registry import ENGINES
    from loraserve.images.build import Base, image_name, reference
    from loraserve.images.builders import NoBuilder, find_builder
    from loraserve.images.processes import ProgramFailed
    from loraserve.images.scan.allowed import read_allowed
    from loraserve.images.scan.contents import NotScanned
    from loraserve.images.scan.report import document, summary, table
    from loraserve.images.scan.scan import SCANNERS, Gate, exit_code, scan_image
    from loraserve.images.scan.vulnerability import Severity
    from loraserve.progress import waiting

    require_choice("--engine", engine, ENGINES)
    require_choice("--base", base, Base)
    require_choice("--severity", severity, ("low", "medium", "high", "critical"))
    require_choice("--scanner", scanner, [known.name for known in SCANNERS])
    gate = Gate(Severity.read(severity), read_allowed(), datetime.now(UTC).date())
    scans = []
    try:
        builder = find_builder()
        with report_interrupt("no image was changed"):
            for name in ENGINES if engine is None else (engine,):
                with waiting(errors, f"scanning the image of {name} …"):
                    built, from_base = image_name(name, Base(base)), reference(name, Base(base))
                    scans.append(
                        scan_image(name, builder, scanner, image=built, base=from_base, output=folder)
                    )
    except (NoBuilder, ProgramFailed) as error:
        raise NotScanned(str(error)) from error
    if as_json:
        typer.echo(document(scans, gate))
    for scan in scans:
        if not as_json and scan.result is not None:
            output().print(table(scan, gate, base_too=list_all))
        errors.print(summary(scan, gate), highlight=False, markup=False)
    raise typer.Exit(exit_code(scans, gate))
