"""The manifest's sources: each is located and checked once, as the seeder will, from config and headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from adapters.errors import InvalidAdapter
from adapters.source import HubSource, LocalSource, S3Source, Source, SourceError
from adapters.store.transfer import OutOfTime
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from ingest.adapter_files import AdapterFiles
from ingest.locator import Locator
from loraserve.doctor.sources.hub_access import HubAccess
from loraserve.doctor.sources.s3_access import S3Access, UnusableSource
from loraserve.finding import Finding, State, ok, problem, unknown
from stacks.config.local_adapters import stage_rules
from stacks.config.stage_config import LoadedStage

CHECK = "adapter sources"
#: Sources that are asked about at the same time.
_THREADS = 16
#: Names in a finding; `and N more` stands for the others.
_NAMED = 3


@dataclass(frozen=True)
class SourceGroup:
    """The manifest's entries of one source and one expected hash."""

    source: Source
    sha256: str | None
    """Expected SHA-256 (hex) of the weights."""
    names: Sequence[str]
    """The names under which they are published, copies included."""

    @property
    def label(self) -> str:
        """The first name, with the number of the others."""
        others = len(self.names) - 1
        return f"{self.names[0]} and {others} more" if others else self.names[0]


@dataclass(frozen=True)
class Readable:
    """A source that passed, with the bytes of its weights."""

    size: int


def source_groups(stage: LoadedStage) -> list[SourceGroup]:
    """Group the manifest's entries, so that each source is asked about once."""
    names: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    sources: dict[str, Source] = {}
    for adapter in stage.manifest.adapters:
        source = adapter.parsed_source
        sources[str(source)] = source
        names[(str(source), adapter.sha256)] += adapter.names()
    return [SourceGroup(sources[text], sha256, found) for (text, sha256), found in names.items()]


def check_adapter_sources(
    stage: LoadedStage,
    *,
    hub: HubAccess,
    silence: str | None,
    s3: S3Access,
    facts: BaseModelFacts | None,
) -> Iterator[Finding]:
    """Yield a finding for each problem, and one for all sources that passed.

    `silence` is the reason why the Hub cannot be asked; `facts` are the base model's, None if unknown.
    """
    rules = stage_rules(stage.config.engine, stage.config.base_model)
    groups = source_groups(stage)
    locator = Locator(s3.client, "", hub.seeder, None, {})

    def ask(group: SourceGroup) -> Finding | Readable:
        match group.source:
            case HubSource() as source if silence is not None:
                return unknown(CHECK, f"{source}: not checked: {silence}; the seeder may reach it")
            case HubSource() as source:
                try:
                    hub.seeder.check_time()
                    return _checked(group, locator.locate(source), rules, facts)
                except (SourceError, OutOfTime) as error:
                    return hub.finding(CHECK, str(source), error)
            case S3Source() as source:
                try:
                    return _checked(group, s3.files(source), rules, facts)
                except UnusableSource as unusable:
                    return unusable.finding
                except SourceError as error:
                    return s3.finding(source, error)
            case other:
                raise TypeError(f"{other} is checked by synth")

    local = [group for group in groups if isinstance(group.source, LocalSource)]
    if local:
        yield ok(CHECK, f"{len(local)} local: checked by synth, packed on this machine")
    for where, kind in (("on the Hub", HubSource), ("in S3", S3Source)):
        yield from _asked(where, [g for g in groups if isinstance(g.source, kind)], ask, facts)


def _checked(
    group: SourceGroup, files: AdapterFiles, rules: Rules, facts: BaseModelFacts | None
) -> Finding | Readable:
    """Check as the seeder does, except that weights are not read to the end for their hash."""
    try:
        check_adapter(group.names[0], files.config, files.weights, rules, facts)
    except InvalidAdapter as error:
        return problem(CHECK, f"{group.source}: {error.problem}", error.remedy)
    stated = files.stated_sha256
    if group.sha256 and stated and group.sha256 != stated:
        return problem(
            CHECK,
            f"{group.source}: its weights hash to {stated}, the manifest says {group.sha256}",
            "write the hash that is meant into the manifest, or pin the commit that has it",
        )
    return Readable(files.weights.size)


def _asked(
    where: str,
    groups: Sequence[SourceGroup],
    ask: Callable[[SourceGroup], Finding | Readable],
    facts: BaseModelFacts | None,
) -> Iterator[Finding]:
    if not groups:
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        outcomes = list(zip(groups, pool.map(ask, groups), strict=True))
    passed = [(group, outcome.size) for group, outcome in outcomes if isinstance(outcome, Readable)]
    if passed:
        names = sum(len(group.names) for group, _ in passed)
        sizes = sum(size for _, size in passed)
        unchecked = "" if facts is not None else "; not checked against the base model's dimensions"
        remark = "; read with your credentials, the seeder has its own role" if where == "in S3" else ""
        yield ok(
            CHECK,
            f"{len(passed)} {where}, of {names} adapters: {sizes / 10**6:,.1f} MB{unchecked}{remark}",
        )
    yield from collapsed((group, outcome) for group, outcome in outcomes if isinstance(outcome, Finding))


def collapsed(findings: Iterable[tuple[SourceGroup, Finding]]) -> Iterator[Finding]:
    """Yield one finding for those that differ only in their source, with the adapters' names in front."""
    alike: dict[tuple[State, str, str], list[SourceGroup]] = defaultdict(list)
    for group, finding in findings:
        reason = finding.found.removeprefix(f"{group.source}: ")
        alike[(finding.state, reason, finding.remedy)].append(group)
    for (state, reason, remedy), groups in alike.items():
        shown = ", ".join(f"{group.label} ({group.source})" for group in groups[:_NAMED])
        more = f" and {len(groups) - _NAMED} more sources" if len(groups) > _NAMED else ""
        yield Finding(CHECK, state, f"{shown}{more}: {reason}", remedy)
