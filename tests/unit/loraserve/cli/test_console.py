"""The text of a message is printed as it is."""

import pytest
import typer
from rich.markup import escape

from loraserve.cli import console
from loraserve.errors import UserError

TEXT = "gamma:x: 'x' is no number; arn:aws:iam::123:role/x, [bold] and :smile:"


def test_the_text_of_an_error_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), console.report_errors():
        raise UserError(TEXT)
    assert capsys.readouterr().err == f"✗ {TEXT}\n"


def test_names_in_the_output_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.output().print(escape(TEXT))
    assert capsys.readouterr().out == f"{TEXT}\n"
