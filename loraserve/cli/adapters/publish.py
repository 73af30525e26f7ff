"""The command `adapters publish`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from adapters.limits import UNLIMITED, Limits, label_problem
from loraserve.cli.adapters.options import Source, open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    source: Source,
    name: Annotated[str, typer.Option(help="The name to publish it under.", show_default=False)],
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="key=value; may be repeated. tenant=NAME and pinned=true have an effect. Without any, the "
            "name keeps its labels."
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="max_concurrent, tokens_per_minute or priority, as in max_concurrent=4; may be repeated. "
            "Without any, the name keeps its limits; none removes them."
        ),
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

    labels = _pairs(label, "label", "by=ana") if label else None
    if labels is not None and (doubt := label_problem(labels)) is not None:
        raise typer.BadParameter(doubt, param_hint="--label")
    limits = _limits(limit) if limit else None
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
        result = publication.finish(examined, base, labels, limits)
        output.show_result(store, as_json, result, "published", warning=base.warning)


def _pairs(options: list[str], option: str, example: str) -> dict[str, str]:
    """Parse the values of a repeated option; raises `typer.BadParameter`."""
    found: dict[str, str] = {}
    for pair in options:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"write key=value, e.g. --{option} {example}", param_hint=f"--{option}")
        if key in found:
            raise typer.BadParameter(f"{key} is there twice; keep one of them", param_hint=f"--{option}")
        found[key] = value
    return found


def _limits(options: list[str]) -> Limits:
    """Parse limits by the rules of a manifest; raises `typer.BadParameter`."""
    if options == ["none"]:
        return UNLIMITED
    from pydantic import ValidationError

    from stacks.config.manifest import DeclaredLimits
    from stacks.typed_yaml import sentence

    given = _pairs(options, "limit", "max_concurrent=4")
    numbers = {
        key: int(value) if value.isascii() and value.isdecimal() else value for key, value in given.items()
    }
    try:
        return Limits(**DeclaredLimits.model_validate(numbers).packed())
    except ValidationError as error:
        raise typer.BadParameter(sentence(error, DeclaredLimits), param_hint="--limit") from error
