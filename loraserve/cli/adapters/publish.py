"""The command `adapters publish`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from loraserve.cli.adapters.options import Source, open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    source: Source,
    name: Annotated[str, typer.Option(help="The name to publish it under.", show_default=False)],
    label: Annotated[
        list[str] | None,
        typer.Option(help="key=value, for people; may be repeated. Without any, the name keeps its labels."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Expected SHA-256 of the source's weights file, in hex.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an adapter, upload it, and point a name to it.

    Example: python -m loraserve adapters publish ./my-adapter --name team/summaries --label by=ana

    If two commands publish one name at the same time, the second one fails. After Ctrl-C nothing is
    published; the same command resumes the upload.
    """
    from loraserve.adapters import check as checking
    from loraserve.adapters.publish import Publication
    from loraserve.cli.adapters import output

    labels = _labels(label) if label else None
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise typer.BadParameter("write the 64 hexadecimal digits of a SHA-256", param_hint="--sha256")
    with report_interrupt("nothing is published. The same command continues where this one stopped"):
        store = open_store(context)
        publication = Publication.begin(store, name)
        base = checking.read_base(store.stage)
        examined = checking.check(store, name, source, base, sha256)
        output.warn(as_json, base.warning)
        with output.progress_of("uploading", examined.files.weights.size, as_json) as moved:
            publication.transfer(examined, moved)
    with report_interrupt(f"the command show {name} says whether it is published"):
        result = publication.finish(examined, base, labels)
        output.show_result(store, as_json, result, "published", warning=base.warning)


def _labels(labels: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not (key and equals):
            raise typer.BadParameter("write key=value, e.g. --label by=ana", param_hint="--label")
        if key in found:
            raise typer.BadParameter(f"{key} is there twice; keep one of them", param_hint="--label")
        found[key] = value
    return found
