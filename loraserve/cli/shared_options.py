"""Options that every command has, `-q` and `-v`, and completion of the names of stages.

`with_shared_options` adds both to a command's function, so that no command repeats them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from typing import Annotated, Any, get_args, get_origin

import typer

from loraserve.verbosity import Verbosity, choose

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors and the result only, no progress.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also each request to AWS, and the stack trace of an error.")
]
#: Parameters that have the name of a stage.
_STAGES = ("stage", "giving", "taking")


def with_shared_options(command: Callable[..., Any], *, verbosity: bool = True) -> Callable[..., Any]:
    """Return the command with completion of its stages, and with `--quiet` and `--verbose`.

    `verbosity` is False for a command that passes `-q` and `-v` to the CDK CLI.
    """

    @functools.wraps(command)
    def run(*given: Any, quiet: bool = False, verbose: bool = False, **options: Any) -> Any:
        choose_verbosity(quiet, verbose)
        return command(*given, **options)

    signature = inspect.signature(command, eval_str=True)
    parameters = [each.replace(annotation=_completed(each)) for each in signature.parameters.values()]
    if verbosity:
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
            for name, option in (("quiet", Quiet), ("verbose", Verbose))
        ]
    # typer reads both: the signature for the order and the defaults, the annotations for the types.
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def choose_verbosity(quiet: bool, verbose: bool) -> None:
    """Set what `-q` or `-v` say; raises `typer.BadParameter` for both. Without either nothing changes."""
    if quiet and verbose:
        raise typer.BadParameter("give one of the two", param_hint="'--quiet' / '--verbose'")
    if quiet:
        choose(Verbosity.QUIET)
    if verbose:
        from loraserve.cli.console import say
        from loraserve.request_log import log_requests

        choose(Verbosity.VERBOSE)
        log_requests(say)


def stage_names(incomplete: str) -> Iterator[str]:
    """Yield the stages whose name begins with what is typed; the completion of a shell."""
    from stacks.project import ROOT

    yield from (
        path.stem for path in sorted((ROOT / "stages").glob("*.yaml")) if path.stem.startswith(incomplete)
    )


def _completed(parameter: inspect.Parameter) -> Any:
    """Return the parameter's annotation, for a stage with the completion of its names."""
    annotation = parameter.annotation
    if parameter.name not in _STAGES or get_origin(annotation) is not Annotated:
        return annotation
    kind, option = get_args(annotation)
    option = copy(option)
    option.autocompletion = stage_names
    return Annotated[kind, option]
