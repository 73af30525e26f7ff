"""Arguments that a command passes to the CDK CLI, sorted by the calls that they concern.

A command makes several calls: `cdk synth`, `cdk destroy` of a stack, `cdk deploy`, and calls of boto3. The
table of options of the pinned CLI, `cli-type-registry.json` of its package, says which of them each option
belongs to:

- A global option (`--role-arn`, `--verbose`, …) is passed to every call of the CLI.
- An option of the CLI's command is passed to that command.
- Everything else is refused: the CLI takes the value of an option that it does not know for a stack's name.
- An option that would have one half of the command work elsewhere, with other credentials or not at all, is
  refused with its replacement (`_REFUSED`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from loraserve.cdk import CLI
from loraserve.errors import UserError

_REGISTRY = CLI.parent.parent / "lib" / "cli" / "cli-type-registry.json"
_SYNTHESIS = (
    "the assembly is made from the stage file and cdk.json, which reviews and other commands read too"
)
_WHOLE = "this command deploys all stacks of the stage and waits for them; for another way run cdk itself"
_CREDENTIALS = "boto3's calls would have other credentials; name a profile of the AWS CLI with --profile"
#: Refused options, by command ("" for every one), with the reason and the replacement.
_REFUSED: Mapping[str, Mapping[str, str]] = {
    "": {
        "app": _SYNTHESIS,
        "build": _SYNTHESIS,
        "context": _SYNTHESIS,
        "output": _SYNTHESIS,
        # Reaches neither a stack, which has the region of its stage, nor boto3.
        "region": "a stage has one region; set it as region in stages/{stage}.yaml",
        "proxy": "it would not reach boto3; set the environment variable HTTPS_PROXY",
        "ca-bundle-path": "it would not reach boto3; set the environment variable AWS_CA_BUNDLE",
        "plugin": _CREDENTIALS,
        "ec2creds": _CREDENTIALS,
        "all": "the stacks are those of the stage",
        "notices": "run cdk notices",
        "version": "run cdk version",
        "help": "run this command with --help first, or cdk with --help",
    },
    "deploy": dict.fromkeys(
        (
            "execute",
            "express",
            "hotswap",
            "hotswap-ecs-maximum-healthy-percent",
            "hotswap-ecs-minimum-healthy-percent",
            "hotswap-ecs-stabilization-timeout-seconds",
            "hotswap-fallback",
            "ignore-no-stacks",
            "logs",
            "watch",
            "method=prepare-change-set",
            "method=execute-change-set",
        ),
        _WHOLE,
    ),
}
#: Options that yargs adds to the CLI's own.
_OF_YARGS: Mapping[str, Mapping[str, Any]] = {
    "help": {"type": "boolean", "alias": "h"},
    "version": {"type": "boolean"},
}


class CdkArgumentError(UserError):
    """An argument that the command cannot pass to the CDK CLI; the message says what to set instead."""

    exit_code = 2


class CdkArguments(NamedTuple):
    """Arguments of the CDK CLI, in the order given."""

    common: tuple[str, ...] = ()
    """Of every call of the CLI."""
    own: tuple[str, ...] = ()
    """Of the call of the command itself."""


class _Option(NamedTuple):
    name: str
    takes_value: bool
    is_common: bool


def cdk_arguments(
    command: str, stage: str, arguments: Sequence[str], profile: str | None = None
) -> CdkArguments:
    """Sort the `arguments` of `command`, `bootstrap`, `deploy` or `destroy`; raises `CdkArgumentError`.

    `profile` is the AWS CLI's profile that boto3 uses; each call of the CLI gets the same.
    """
    common: list[str] = [] if profile is None else ["--profile", profile]
    own: list[str] = []
    for option, words in _parsed(command, arguments):
        _refuse(command, stage, option, words)
        (common if option.is_common else own).extend(words)
    return CdkArguments(tuple(common), tuple(own))


def _parsed(command: str, arguments: Sequence[str]) -> Iterator[tuple[_Option, list[str]]]:
    """Yield each option with its words, as yargs would read them."""
    options = _options(command)
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        written, equals, value = word.partition("=")
        option = _find(options, written)
        if option is None:
            raise CdkArgumentError(_unknown(command, options, word))
        if option.takes_value and not equals:
            if not rest or rest[0].startswith("-"):
                raise CdkArgumentError(f"{written} needs a value")
            value = rest.pop(0)
            yield option, [word, value]
        elif not option.takes_value and not equals and rest and rest[0] in {"true", "false"}:
            yield option, [word, rest.pop(0)]
        else:
            yield option, [word]


def _find(options: Mapping[str, _Option], written: str) -> _Option | None:
    """Return the option that a word such as `--role-arn`, `--roleArn`, `--no-execute` or `-vv` names."""
    if re.fullmatch(r"-(.)\1*", written) and not written.startswith("--"):
        return options.get(written[1])
    if not written.startswith("--"):
        return None
    name = re.sub(r"(?<=[a-z])[A-Z]", lambda letter: "-" + letter[0].lower(), written[2:])
    option = options.get(name)
    if option is None and name.startswith("no-"):
        negated = options.get(name.removeprefix("no-"))
        return None if negated is None or negated.takes_value else negated
    return option if len(name) > 1 else None


def _refuse(command: str, stage: str, option: _Option, words: Sequence[str]) -> None:
    value = words[1] if len(words) > 1 else words[0].partition("=")[2]
    for reasons in (_REFUSED[""], _REFUSED.get(command, {})):
        for key in (option.name, f"{option.name}={value}"):
            if key in reasons:
                raise CdkArgumentError(
                    f"{' '.join(words)} cannot be passed to cdk {command}: {reasons[key].format(stage=stage)}"
                )


def _unknown(command: str, options: Mapping[str, _Option], word: str) -> str:
    if not word.startswith("-"):
        return f"{word!r} cannot be passed to cdk {command}: stacks and account are the stage's"
    names = [f"--{option.name}" for option in options.values()]
    close = difflib.get_close_matches(word.partition("=")[0], names, n=1)
    hint = f"; did you mean {close[0]}?" if close else "; write each option separately"
    return f"cdk {command} has no option {word}{hint}"


@cache
def _options(command: str) -> Mapping[str, _Option]:
    """List the options of a command by name and alias."""
    registry = json.loads(_REGISTRY.read_text())
    own = registry["commands"][command]["options"]
    found: dict[str, _Option] = {}
    for table, is_common in ((registry["globalOptions"], True), (_OF_YARGS, True), (own, False)):
        for name, described in table.items():
            option = _Option(name, described["type"] != "boolean" and not described.get("count"), is_common)
            alias = described.get("alias", [])
            aliases = [alias] if isinstance(alias, str) else alias
            found.update(dict.fromkeys((name, *aliases, described.get("negativeAlias", name)), option))
    return found
