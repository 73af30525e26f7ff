"""The two consoles, and the report of errors: one message instead of a stack trace."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from adapters.errors import AdapterError
from loraserve.errors import UserError
from loraserve.verbosity import is_quiet, is_verbose

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

# Without emoji: a message such as `gamma:x: is no number` has the form of one.
console = Console(emoji=False)
errors = Console(stderr=True, soft_wrap=True, emoji=False)

_UNBOUNDED = 10_000


def output() -> Console:
    """Return the console of standard output; its lines are unbroken in a file or a pipe."""
    return console if console.is_terminal else Console(width=_UNBOUNDED, emoji=False)


def say(text: str) -> None:
    """Print a line about the progress, beside the output; not with `--quiet`."""
    if is_quiet():
        return
    errors.print(text, style="dim", markup=False, highlight=False)


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error that the user can act on in one message, and exit; a stack trace only with `--verbose`.

    Exit codes: 2 for a stage file or manifest that cannot be used, 130 for Ctrl-C, 1 for everything else. An
    exception of any other class is a bug and keeps its stack trace.
    """
    # Imported when a command runs: `--help` does not wait for pydantic and botocore.
    from botocore.exceptions import BotoCoreError, ClientError

    from stacks.project import ROOT
    from stacks.typed_yaml import ConfigError

    with report_interrupt("everything this command started is stopped"):
        try:
            yield
        except UserError as error:
            _fail(str(error), error.exit_code, error)
        except ConfigError as error:
            _fail(str(error), 2, error)
        except AdapterError as error:
            _fail(str(error), 1, error)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if (ROOT / package).is_dir():  # one of this repository's own modules: a bug
                raise
            _fail(
                f"this command needs the package {package}, which a set-up for deployments does not install: "
                "run `make setup-laptop`",
                1,
                error,
            )
        except (BotoCoreError, ClientError) as error:
            _fail(_answer(error), 1, error)


@contextmanager
def report_interrupt(state: str) -> Iterator[None]:
    """Report a Ctrl-C in the block with the `state` that it leaves; exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(f"interrupted; {state}")
        raise typer.Exit(130) from None


def _answer(error: BotoCoreError | ClientError) -> str:
    """Return one sentence about an error of AWS that no command explains."""
    from botocore.exceptions import ConnectionError as Unreachable

    from loraserve.credential_errors import credential_error

    if (known := credential_error(error)) is not None:
        return "credentials: {}: {}".format(*known)
    if isinstance(error, Unreachable):
        return f"the cloud cannot be reached: {error}; check the network, HTTPS_PROXY and AWS_ENDPOINT_URL"
    return f"the cloud did not answer as it should: {error}"


def _fail(message: str, code: int, cause: Exception) -> NoReturn:
    if is_verbose():
        trace = "".join(traceback.format_exception(cause))
        errors.print(trace, style="dim", markup=False, highlight=False)
    errors.print(f"[red]✗[/] {escape(message)}")
    raise typer.Exit(code) from cause
