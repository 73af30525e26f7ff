"""How commands talk to people: two consoles, and errors in one message instead of a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from adapters.errors import AdapterError
from laptop_cloud.aws_isolation import NotLoopback
from laptop_cloud.ports import PortTaken
from laptop_cloud.process import CloudFailed
from loraserve.cdk import CdkError
from loraserve.client import InvocationError
from loraserve.demo.demo import DemoFailed
from loraserve.diff import DiffError
from loraserve.images.oci_registry import RegistryError
from stacks.typed_yaml import ConfigError


class NotDeployed(Exception):
    """What the command needs is not there; the message says how to get it."""


console = Console()
errors = Console(stderr=True, soft_wrap=True)

_UNBOUNDED = 10_000
_TOLD = (
    AdapterError, CdkError, CloudFailed, DemoFailed, DiffError, InvocationError, NotDeployed, NotLoopback,
    PortTaken, RegistryError,
)  # fmt: skip


def output() -> Console:
    """Standard output; a file or another program gets lines as long as they are."""
    return console if console.is_terminal else Console(width=_UNBOUNDED)


@contextmanager
def told_plainly(interrupted: str = "everything this command started is stopped") -> Iterator[None]:
    """Errors of a kind that the user can act on are one message, never a stack trace.

    Exit code 2 for a stage or manifest that cannot be used, 130 for Ctrl-C, of which `interrupted` says what
    it leaves behind, and 1 for all else.
    """
    try:
        yield
    except ConfigError as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(2) from error
    except _TOLD as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    except (BotoCoreError, ClientError) as error:
        errors.print(f"[red]✗[/] the cloud did not answer as it should: {escape(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print(f"interrupted; {interrupted}")
        raise typer.Exit(130) from None
