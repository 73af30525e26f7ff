"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]
