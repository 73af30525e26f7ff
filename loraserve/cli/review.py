"""The command `review`."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.text import Text

from loraserve.cli.console import output as standard_output
from loraserve.cli.options import require_choice


def command(
    base: Annotated[
        str | None,
        typer.Option(
            help="Git revision: its merge base with HEAD is compared. By default origin/main, or main; "
            "HEAD shows what is not committed."
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    form: Annotated[str, typer.Option("--format", help="text, markdown or json.")] = "text",
    output: Annotated[
        Path | None, typer.Option(help="Folder for review.json and review.md, whatever the format is.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Least level that ends with exit code 3: block, review or never.")
    ] = "block",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CATEGORY",
            help="Accept the findings of a category, e.g. loss, access or cost; repeatable. They stay in the "
            "report, marked.",
        ),
    ] = None,
    same_packages: Annotated[
        bool,
        typer.Option(
            "--same-packages",
            help="Synthesize the base with the head's packages where its own cannot be installed.",
        ),
    ] = False,
    base_assembly: Annotated[
        Path | None, typer.Option(help="Compare this cloud assembly, e.g. cdk.out, instead of a revision.")
    ] = None,
    head_assembly: Annotated[
        Path | None, typer.Option(help="The assembly to compare it with; both or neither.")
    ] = None,
) -> None:
    """Review what a change does to endpoints, data and the bill.

    Two cloud assemblies are compared: those of the working tree and of the base, each synthesized by itself.
    It needs no credentials or Docker, and no network unless the base has other packages. Levels of the
    findings: BLOCK, e.g. data would be lost; REVIEW: a person decides; rollover: instances are replaced as
    designed; routine: no action. docs/review.md has the categories.

    Exit codes: 0 nothing at or above --fail-on, or all of it accepted; 1 the sides could not be compared; 2 a
    stage file of the working tree is refused, or an option; 3 findings at or above --fail-on.

    Example: make review STAGE=prod

    Example: python -m loraserve review --base v1.4 --accept cost --format markdown

    Example: python -m loraserve review --base-assembly released/cdk.out --head-assembly cdk.out
    """
    from loraserve.review.document import Gate, write
    from loraserve.review.finding import CATEGORIES, Category
    from loraserve.review.report.markdown import SUMMARY_BUDGET, markdown
    from loraserve.review.report.text import text
    from loraserve.review.review import review
    from loraserve.review.sides import Side, synthesized_sides

    require_choice("--format", form, ("text", "markdown", "json"))
    require_choice("--fail-on", fail_on, get_args(Gate))
    for category in accept or ():
        require_choice("--accept", category, CATEGORIES)
    if (base_assembly is None) is not (head_assembly is None):
        raise typer.BadParameter("give both, or neither", param_hint="--base-assembly, --head-assembly")
    if base_assembly is not None and (base or stage or same_packages):
        raise typer.BadParameter(
            "leave out --base, --stage and --same-packages: nothing is synthesized",
            param_hint="--base-assembly",
        )
    if output is not None:
        _make_folder(output)
    sides: AbstractContextManager[tuple[Side, Side]]
    if base_assembly is not None and head_assembly is not None:
        before = Side(name=str(base_assembly), commit="", assembly=base_assembly)
        after = Side(name=str(head_assembly), commit="", assembly=head_assembly)
        sides = nullcontext((before, after))
    else:
        sides = synthesized_sides(base, stage, same_packages=same_packages)
    with sides as (before, after):
        document = review(
            before, after, fail_on=cast(Gate, fail_on), accepted=cast(list[Category], accept or [])
        )
    if output is not None:
        (output / "review.json").write_text(write(document))
        (output / "review.md").write_text(markdown(document, budget=SUMMARY_BUDGET))
    if form == "text":
        console = standard_output()
        shown = Text(text(document, width=console.width))
        shown.highlight_words(["BLOCK"], "bold red")
        shown.highlight_words(["REVIEW"], "bold yellow")
        console.print(shown, end="", soft_wrap=True)
    else:
        typer.echo(write(document) if form == "json" else markdown(document), nl=form == "json")
    if document.exit_code:
        raise typer.Exit(document.exit_code)


def _make_folder(folder: Path) -> None:
    """Make the folder of the reports, before the comparison: it takes longer than to correct an option."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"{folder}: {error.strerror}; name a folder that can be written", param_hint="--output"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{folder} cannot be written; name another folder", param_hint="--output")
