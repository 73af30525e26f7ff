"""The command `scan-images`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson

#: Folder of the bills of materials, which `make clean` removes.
OUTPUT = Path("out/images")


def command(
    engine: Annotated[str | None, typer.Argument(help="lorax or vllm; without it, both.")] = None,
    severity: Annotated[
        str, typer.Option(help="Lowest severity that counts: low, medium, high or critical.")
    ] = "high",
    scanner: Annotated[
        str | None,
        typer.Option(help="grype, trivy or pip-audit; without it, the first that is installed."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Image in the builder's store, instead of that of `make images`.")
    ] = None,
    base_too: Annotated[
        bool, typer.Option("--base", help="List the base image's vulnerabilities, too.")
    ] = False,
    folder: Annotated[Path, typer.Option("--output", help="Folder of the bills of materials.")] = OUTPUT,
    as_json: AsJson = False,
) -> None:
    """List the packages and the known vulnerabilities of the images that `make images` built.

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
    """
    from adapters.engines.registry import ENGINES
    from loraserve.images.builders import NoBuilder, find_builder
    from loraserve.images.processes import ProgramFailed
    from loraserve.images.scan.allowed import read_allowed
    from loraserve.images.scan.contents import NotScanned
    from loraserve.images.scan.report import document, summary, table
    from loraserve.images.scan.scan import SCANNERS, Gate, built_image, exit_code, scan_image
    from loraserve.images.scan.vulnerability import Severity
    from loraserve.images.stand_in.bases import stand_in_reference
    from stacks.config.base_images import read_lock

    _check("ENGINE", engine, ENGINES)
    _check("--severity", severity, ("low", "medium", "high", "critical"))
    _check("--scanner", scanner, [known.name for known in SCANNERS])
    if image is not None and engine is None:
        raise typer.BadParameter("--image needs ENGINE: lorax or vllm")
    lock = read_lock()
    gate = Gate(Severity.read(severity), read_allowed(), datetime.now(UTC).date())
    scans = []
    try:
        builder = find_builder()
        with report_interrupt("no image was changed"):
            for name in [engine] if engine else ENGINES:
                with errors.status(f"scanning the image of {name} …"):
                    bases = (lock[name].reference, stand_in_reference(name))
                    built = image or built_image(name)
                    scans.append(scan_image(name, builder, scanner, image=built, bases=bases, output=folder))
    except (NoBuilder, ProgramFailed) as error:
        raise NotScanned(str(error)) from error
    if as_json:
        typer.echo(document(scans, gate))
    for scan in scans:
        if not as_json and scan.result is not None:
            output().print(table(scan, gate, base_too=base_too))
        errors.print(summary(scan, gate), highlight=False, markup=False)
    raise typer.Exit(exit_code(scans, gate))


def _check(name: str, value: str | None, valid: Iterable[str]) -> None:
    if value is not None and value not in valid:
        raise typer.BadParameter(f"{name}: {value}: use {', '.join(valid)}")
