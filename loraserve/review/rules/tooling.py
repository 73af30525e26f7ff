"""Changes of the tools that synthesize the app: packages, feature flags, settings of the CDK CLI.

What they change in the templates is judged by the other rules. So a version is routine; what no template
shows is not: a package from elsewhere, an index, a setting of the deployment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from loraserve.review.comparison import equal
from loraserve.review.difference import Difference, Impact, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.tooling import Entry, LockedPackage, Tooling
from loraserve.review.values import title

#: Beginnings of the addresses of npm's and Python's own index.
INDEXES = ("https://registry.npmjs.org/", "https://pypi.org/", "https://files.pythonhosted.org/")
_Key = TypeVar("_Key")
#: Settings of cdk.json that no synth and no deployment reads.
_WITHOUT_EFFECT = ("watch",)


def tooling_findings(before: Tooling, after: Tooling, *, same_packages: bool = False) -> list[ReviewFinding]:
    """Return the findings of the changed tools, which all stages share.

    With `same_packages` the base was synthesized with the head's packages (`Side.has_heads_packages`).
    """
    return [
        *_packages(before.packages, after.packages, same_packages=same_packages),
        *_options(before.options, after.options),
        *_flags(before.flags, after.flags),
        *_settings(before.settings, after.settings),
    ]


def _packages(
    before: Mapping[Entry, LockedPackage], after: Mapping[Entry, LockedPackage], *, same_packages: bool
) -> Iterator[ReviewFinding]:
    ordinary: list[Difference] = []
    doubtful: dict[str, list[Difference]] = {}
    for entry in _changed(before, after):
        old, new = before.get(entry), after.get(entry)
        doubt = _doubt(old, new)
        if doubt is None:
            ordinary.append(_difference(*entry, old and old.version, new and new.version))
        else:
            doubtful.setdefault(doubt, []).append(_difference(*entry, _whole(old), _whole(new)))
    for doubt, changes in doubtful.items():
        yield ReviewFinding(
            rule="tooling.source",
            level=Level.REVIEW,
            stage="",
            title=title(
                f"{changes[0].subject if len(changes) == 1 else f'{len(changes)} packages'}: {doubt}"
            ),
            consequence="The code of a package runs at synth and deployment; templates do not show it.",
            action="Check where the lock file takes it from, and why.",
            details=tuple(_line(each) for each in changes),
            differences=tuple(changes),
        )
    if ordinary:
        lines = tuple(_line(each) for each in ordinary)
        yield ReviewFinding(
            rule="tooling.library",
            level=Level.REVIEW if same_packages else Level.ROUTINE,
            stage="",
            title=title(lines[0] if len(lines) == 1 else f"{len(lines)} packages change: {'; '.join(lines)}"),
            consequence="The base was synthesized with the head's packages: what they change does not show."
            if same_packages
            else "What they change in the templates is among the other findings.",
            action="Compare again without --same-packages." if same_packages else "",
            details=lines,
            differences=tuple(ordinary),
        )


def _doubt(old: LockedPackage | None, new: LockedPackage | None) -> str | None:
    """Return what is wrong with a changed package beside its version; None for nothing."""
    if new is None:
        return None
    if not new.is_exact:
        return "no exact version"
    if new.address and not new.address.startswith(INDEXES):
        return f"comes from {'/'.join(new.address.split('/')[:3])}"
    if old is not None and old.checksum and not new.checksum:
        return "no checksum any more"
    if old is not None and old.version == new.version:
        return "the same version with other content"
    return None


def _whole(pin: LockedPackage | None) -> str | None:
    return None if pin is None else " ".join(filter(None, (pin.version, pin.address, pin.checksum)))


def _options(before: Mapping[Entry, str], after: Mapping[Entry, str]) -> Iterator[ReviewFinding]:
    for entry in _changed(before, after):
        change = _difference(*entry, before.get(entry), after.get(entry))
        yield ReviewFinding(
            rule="tooling.source",
            level=Level.REVIEW,
            stage="",
            title=title(f"pip's option {entry[1]} changes in {entry[0]}"),
            consequence="Packages may come from elsewhere, under the same names and versions.",
            action="Check which index answers for which package.",
            details=(_line(change),),
            differences=(change,),
            before=change.before,
            after=change.after,
        )


def _flags(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ReviewFinding]:
    changes = [
        _difference("cdk.json", flag, before.get(flag), after.get(flag)) for flag in _changed(before, after)
    ]
    if changes:
        lines = tuple(_line(each) for each in changes)
        yield ReviewFinding(
            rule="tooling.flags",
            level=Level.ROUTINE,
            stage="",
            title=title(lines[0] if len(lines) == 1 else f"{len(lines)} feature flags of cdk.json change"),
            consequence="What they change in the templates is among the other findings.",
            details=lines,
            differences=tuple(changes),
        )


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ReviewFinding]:
    for key in _changed(before, after):
        change = _difference("cdk.json", f"setting {key}", before.get(key), after.get(key))
        yield ReviewFinding(
            rule="tooling.settings",
            level=Level.ROUTINE if key in _WITHOUT_EFFECT else Level.REVIEW,
            stage="",
            title=title(f"the setting {key} of cdk.json changes"),
            consequence="It concerns `cdk watch` only."
            if key in _WITHOUT_EFFECT
            else "The CDK CLI goes by it in each synth and deployment, and no template shows it.",
            action="" if key in _WITHOUT_EFFECT else "Check the command or the option that it sets.",
            details=(_line(change),),
            differences=(change,),
            before=change.before,
            after=change.after,
        )


def _changed(before: Mapping[_Key, Any], after: Mapping[_Key, Any]) -> list[_Key]:
    """Return the keys whose values differ, in their order; `True` and `1` differ."""
    return [
        key
        for key in dict.fromkeys([*after, *before])
        if (key in before) != (key in after) or not equal(before[key], after[key])
    ]


def _difference(file: str, subject: str, before: Any, after: Any) -> Difference:
    impact = Impact.CREATE if before is None else Impact.DESTROY if after is None else Impact.UPDATE
    return Difference(
        kind=Kind.TOOLING, stage="", subject=subject, name=file, before=before, after=after, impact=impact
    )


def _line(change: Difference) -> str:
    values = ("none" if value is None else str(value) for value in (change.before, change.after))
    return f"{change.subject} {' → '.join(values)} ({change.name})"
