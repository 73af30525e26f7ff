"""The base model, the limits that its callers meet, and the place of its container."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.asset_content import packed_configs, rank_of
from loraserve.review.causes import ENVIRONMENT, MODEL_FILES
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.difference import Difference, Json
from loraserve.review.endpoint_update import (
    EndpointUpdate,
    endpoint_update,
    may_be_lower,
    model_environment,
    number,
)
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import Leaf, is_inside, text, title, written
from stacks.config.container_environment import KEYS

_CONTAINER = "PrimaryContainer"
_NAME, _REVISION = f"{ENVIRONMENT}HF_MODEL_ID", f"{ENVIRONMENT}HF_MODEL_REVISION"
#: Limits that a request can meet, by variable: a lower one refuses or shortens what was served.
_LIMITS = ("MAX_INPUT_LENGTH", "MAX_TOTAL_TOKENS", "MAX_NEW_TOKENS", "DEFAULT_MAX_NEW_TOKENS")
_RANK, _MODULES, _TOOLS = "MAX_ADAPTER_RANK", "ADAPTER_TARGET_MODULES", "TOOL_CALL_PARSER"
_PROBES = "PROBE_SHARE"
#: A mirror with the model's code is another set of files of the same revision (stacks.stage_stacks).
_WITH_CODE = "-with-code"
_ROLE, _ISOLATION = "ExecutionRoleArn", "EnableNetworkIsolation"


def model(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield another base model, lower limits, and another network or role of the container."""
    update = endpoint_update(change)
    if update is None:
        return
    yield from _base(change, update)
    yield from _limits(change, update)
    yield from _probes(change, update)
    yield from _places(change, update)


def _base(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    names = [leaf for path in (_NAME, _REVISION) if (leaf := update.leaf(path)) is not None]
    files = update.leaf(MODEL_FILES)
    if files is not None and _is_same_model(change, files):
        files = None
    if not names and files is None:
        return
    shown = [f"{KEYS[leaf.path.removeprefix(ENVIRONMENT)]}: {leaf.values}" for leaf in names]
    shown += [] if files is None else [f"its files are {text(files.after)}, instead of {text(files.before)}"]
    yield ReviewFinding(
        rule="model.changed",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"base model: {shown[0]}"),
        consequence="All answers change, also those of adapters; a deployment does not test their quality.",
        action="Compare answers before and after, and train the adapters of another base again.",
        details=(*shown, *_other_bases(change)),
        differences=(*_of_container(update), *change.facts("model.name", "model.revision")),
    )


def _is_same_model(change: StageComparison, files: Leaf) -> bool:
    """Return whether the files in the bucket are, for certain, in the stage's bucket and of the revision."""
    after = change.after
    serving = None if after is None else after.stacks.get("Serving")
    if files.after is None:  # the container fetches the revision, which has a difference itself
        return True
    match files.after:
        case {"Fn::Join": ["", ["s3://", bucket, str(prefix)]]}:
            inside = after is not None and serving is not None and is_inside(after, serving, bucket)
        case _:
            return False
    environment = model_environment(after)
    name, revision = environment.get("HF_MODEL_ID"), environment.get("HF_MODEL_REVISION")
    plain = prefix.removesuffix("/").removesuffix(_WITH_CODE)
    return inside and revision is not None and plain == f"/models/{written(name)}/{written(revision)}"


def _other_bases(change: StageComparison) -> Iterator[str]:
    """Yield a line for each adapter whose config names another base model or revision."""
    environment = model_environment(change.after)
    name, revision = environment.get("HF_MODEL_ID"), environment.get("HF_MODEL_REVISION")
    configs = packed_configs(change.after)
    for adapter, config in sorted(configs.items()):
        if config is None:
            continue
        base, commit = config.get("base_model_name_or_path"), config.get("revision")
        if base != name or (commit is not None and commit != revision):
            yield f"adapter {adapter} was trained on {text(base)}" + (f" at {text(commit)}" if commit else "")
    unknown = sum(config is None for config in configs.values())
    if unknown:
        yield f"the base of {unknown} adapters is not known here: their configs are not in the assembly"


def _limits(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    """Yield one finding for all limits that fall."""
    lower, details = [], []
    for variable in (*_LIMITS, _RANK):
        leaf = update.leaf(f"{ENVIRONMENT}{variable}")
        if leaf is not None and may_be_lower(leaf.before, leaf.after):
            lower.append((leaf, f"{KEYS[variable]}: {leaf.values}"))
            details += _above(change, number(leaf.after)) if variable == _RANK else []
    leaf = update.leaf(f"{ENVIRONMENT}{_MODULES}")
    # Without the variable adapters may change all modules.
    if leaf is not None and leaf.after is not None and not _modules(leaf.before) <= _modules(leaf.after):
        lower.append((leaf, f"{KEYS[_MODULES]}: {leaf.values}"))
    leaf = update.leaf(f"{ENVIRONMENT}{_TOOLS}")
    if leaf is not None and leaf.before is not None:
        lower.append((leaf, f"{KEYS[_TOOLS]}: {leaf.values}"))
    if not lower:
        return
    words = [each for _, each in lower]
    facts = [KEYS[leaf.path.removeprefix(ENVIRONMENT)].replace("engine.", "limits.") for leaf, _ in lower]
    yield ReviewFinding(
        rule="model.limits",
        level=Level.REVIEW,
        stage=change.id,
        title=title(words[0] + (f" and {len(words) - 1} more limits" if words[1:] else "")),
        consequence="Requests or adapters that were served are refused, or get shorter answers.",
        action="Ask the callers, or keep the limit.",
        details=(*words, *details),
        differences=(*_of_container(update), *change.facts(*facts)),
        before=[leaf.before for leaf, _ in lower],
        after=[leaf.after for leaf, _ in lower],
    )


def _probes(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    """Yield that the proof of adapters is not repeated any more."""
    leaf = update.leaf(f"{ENVIRONMENT}{_PROBES}")
    if leaf is None or written(leaf.after) != "0":
        return
    yield ReviewFinding(
        rule="model.probes",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"{KEYS[_PROBES]}: {leaf.values}"),
        consequence="Adapters are proven at their load only: an instance may mix them up later, and serves on.",
        action="Keep a small share: its cost is that share of the throughput.",
        differences=tuple(_of_container(update)),
        before=leaf.before,
        after=leaf.after,
    )


def _above(change: StageComparison, maximum: int) -> list[str]:
    """List the published adapters whose rank is known and too high, and those whose rank is not known."""
    configs = packed_configs(change.before) | packed_configs(change.after)
    ranks = {name: rank_of(config) for name, config in configs.items() if config is not None}
    lines = [f"adapter {name} has rank {rank}" for name, rank in sorted(ranks.items()) if rank > maximum]
    if len(ranks) < len(configs):
        unknown = len(configs) - len(ranks)
        lines.append(f"not known here: the rank of {unknown} adapters, whose configs are not in the assembly")
    return [*lines, "not known here: the rank of adapters that are published by command"]


def _places(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    """Judge the container's role and isolation, where no other rule compares the rights of two roles."""
    for pair in (*update.models, *update.configs):
        for name in (_ROLE, _ISOLATION):
            is_role = name == _ROLE
            differing = pair.of(name)
            if equal(pair.before.get(name), pair.after.get(name)) or not differing:
                continue
            if is_role and all(each.name and None not in (each.before, each.after) for each in differing):
                continue
            before, after = text(pair.before.get(name)), text(pair.after.get(name))
            yield ReviewFinding(
                rule="access.role" if is_role else "access.network",
                level=Level.REVIEW,
                stage=change.id,
                title=title(
                    f"the container has another role: {before} → {after}"
                    if is_role
                    else f"the container's network: {name} {before} → {after}"
                ),
                consequence="It may do what the other role may."
                if is_role
                else "Its requests go another way: hosts that it could not reach may be reachable, and the "
                "reverse.",
                action="Compare the permissions of both roles."
                if is_role
                else "Compare what the container can reach before and after.",
                differences=tuple(differing),
                before=before,
                after=after,
            )


def _modules(value: Json) -> frozenset[str]:
    """Return the modules that adapters may change."""
    return frozenset({"all"} if value is None else written(value).split(","))


def _of_container(update: EndpointUpdate) -> list[Difference]:
    return [each for pair in update.models for each in pair.of(_CONTAINER)]
