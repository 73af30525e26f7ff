"""Origin of what runs: the image, pins of sources, code of the model's repository, the stage before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loraserve.review.assembly import Stage
from loraserve.review.asset_content import build_changes, capped, changed_files
from loraserve.review.causes import ENVIRONMENT, IMAGE
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Json
from loraserve.review.endpoint_update import MODEL, EndpointUpdate, endpoint_update
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import Leaf, mapping, title, written

_TRUST = f"{ENVIRONMENT}HF_MODEL_TRUST_REMOTE_CODE"
_REVISION = f"{ENVIRONMENT}HF_MODEL_REVISION"
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: A reference by content, as in the OCI distribution specification.
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
#: Registry and repository of a reference, before tag and digest.
_REPOSITORY = re.compile(r"^(?P<name>[^@]*?)(:[^:/@]+)?(@.*)?$")


def supply(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield changes of the image, and of what fixes a source to its content."""
    update = endpoint_update(change)
    if update is not None:
        yield from _image(change, update)
        yield from _revision(change, update)
        yield from _remote_code(change, update)
    facts = change.facts("allow_unpinned_sources")
    for fact in facts:
        yield ReviewFinding(
            rule="supply.unpinned",
            level=Level.REVIEW if fact.after else Level.ROUTINE,
            stage=change.id,
            title="unpinned sources are allowed" if fact.after else "unpinned sources are refused",
            consequence="An adapter may come from a branch, whose content changes without a commit here."
            if fact.after
            else "Each adapter must name a commit or a digest.",
            action="Keep allow_unpinned_sources off where callers depend on the answers."
            if fact.after
            else "",
            differences=(fact,),
            before=fact.before,
            after=fact.after,
        )
    yield from _stage_before(change)


def _stage_before(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield another or no stage in which a release is verified before it is promoted to this one."""
    for fact in change.facts("promote_from"):
        is_first = fact.before is None
        if fact.after is None:
            words, consequence = (
                "none any more: releases are not promoted to this stage",
                f"It gets what no other stage has verified; before, releases came from {fact.before}.",
            )
        else:
            words = f"{fact.after}, before {'none' if is_first else fact.before}"
            consequence = f"A release is promoted to this stage after {fact.after} has verified it."
        yield ReviewFinding(
            rule="supply.promotion",
            level=Level.ROUTINE if is_first else Level.REVIEW,
            stage=change.id,
            title=title(f"promote_from: {words}"),
            consequence=consequence,
            action="" if is_first else "Check that releases are tested in this order.",
            differences=(fact,),
            before=fact.before,
            after=fact.after,
        )


def _image(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    leaf = update.leaf(IMAGE)
    if leaf is None or change.before is None or change.after is None:
        return
    old, new = _reference(change.before, leaf.before), _reference(change.after, leaf.after)
    before, after = change.before.asset(leaf.before), change.after.asset(leaf.after)
    differences = (*_of_model(update, "PrimaryContainer"), *change.facts("image"))
    if before is not None and after is not None:
        files, build = changed_files(before, after), build_changes(before, after)
        details = [*build, *capped(files)]
        words = f"built from other content: {_count(len(files))}"
        # The base image is code as well: an argument of the build.
        sources = ((old, new), _addresses(change.before, change.after, leaf, differences))
        is_same_source = all(_repository(one) == _repository(other) for one, other in sources)
        is_same = is_same_source and not details
    else:
        details = [f"{old} → {new}"]
        is_same = False
        is_same_source = before is None and after is None and _repository(old) == _repository(new)
        words = new if after is None else "built from container/"
    if is_same:
        yield ReviewFinding(
            rule="form.assets",
            level=Level.NOISE,
            stage=change.id,
            title="the same image, in the bootstrap's repository of another environment",
            differences=differences,
        )
        return
    yield ReviewFinding(
        rule="supply.image",
        level=Level.ROUTINE if is_same_source else Level.REVIEW,
        stage=change.id,
        title=title(f"image: {words}"),
        consequence="It runs in the container." if is_same_source else "It comes from another repository.",
        action="" if is_same_source else "Check who builds it.",
        details=tuple(details),
        differences=differences,
        before=old,
        after=new,
    )
    if _loses_digest(old, new, was_asset=before is not None, is_asset=after is not None):
        yield ReviewFinding(
            rule="supply.unpinned",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"image: the tag {new} instead of a digest"),
            consequence="A tag moves: instances that start later may run another image than those tested.",
            action="Write the image with its digest (`make pin-images` for the base image).",
            differences=differences,
            before=old,
            after=new,
        )


def _revision(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    leaf = update.leaf(_REVISION)
    if leaf is None or leaf.after is None or _COMMIT.fullmatch(written(leaf.after)):
        return
    yield ReviewFinding(
        rule="supply.unpinned",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"base_model.revision: {written(leaf.after)} is no commit"),
        consequence="A branch moves: instances that start later may serve another model.",
        action="Write the 40 digits of a commit.",
        differences=tuple(_of_model(update, "PrimaryContainer")),
        before=leaf.before,
        after=leaf.after,
    )


def _remote_code(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    leaf = update.leaf(_TRUST)
    if leaf is None or leaf.after in (None, "false"):
        return
    yield ReviewFinding(
        rule="supply.remote-code",
        level=Level.REVIEW,
        stage=change.id,
        title="engine.trust_remote_code: Python code of the model's repository runs in the container",
        consequence="It has the permissions of the execution role.",
        action="Read the code of the repository at base_model.revision.",
        differences=tuple(_of_model(update, "PrimaryContainer")),
        before=leaf.before,
        after=leaf.after,
    )


def _of_model(update: EndpointUpdate, name: str) -> list[Difference]:
    return [each for pair in update.models for each in pair.of(name) if each.type == MODEL]


def _addresses(before: Stage, after: Stage, leaf: Leaf, of_model: Sequence[Difference]) -> tuple[str, str]:
    """Return the image's addresses, without the account and region of the stack that they are in."""
    old, new = written(leaf.before), written(leaf.after)
    stack = next((each.stack for each in of_model), "")
    if stack in before.stacks and stack in after.stacks:
        return before.stacks[stack].without_environment(old), after.stacks[stack].without_environment(new)
    return old, new


def _reference(stage: Stage, value: Json) -> str:
    """Return the image's reference; of an asset, that of its base image, by which it is pinned."""
    asset = stage.asset(value)
    if asset is None:
        return written(value)
    arguments = mapping(asset.build.get("dockerBuildArgs"))
    return ", ".join(str(arguments[name]) for name in sorted(arguments)) or written(value)


def _repository(reference: str) -> str | None:
    match = _REPOSITORY.match(reference)
    return None if match is None else match["name"]


def _loses_digest(before: str, after: str, *, was_asset: bool, is_asset: bool) -> bool:
    """Return whether the content was fixed by a digest and is not any more.

    The content of an asset is fixed by its hash, up to the base image that it is built from.
    """
    if _DIGEST.search(after):
        return False
    return _DIGEST.search(before) is not None or (was_asset and not is_asset)


def _count(files: int) -> str:
    return "1 file changes" if files == 1 else f"{files} files change"
