"""Buckets: data that are deleted, left behind or unreadable, and what the public can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Impact, Kind
from loraserve.review.finding import Finding, Level
from loraserve.review.rules.lifecycle import compare_lifecycles
from loraserve.review.rules.resources import REPLACING, changed, days, is_whole, label, properties
from loraserve.review.values import text, title

BUCKET = "AWS::S3::Bucket"
_SEEDING = "Custom::AdapterSeeding"
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
#: Canned ACLs that grant to everybody or to every AWS account (S3 user guide, "Canned ACL").
_PUBLIC_ACLS = ("PublicRead", "PublicReadWrite", "AuthenticatedRead")
_ANY_ORIGIN = {"*", "http://*", "https://*"}
#: Rule, level, title after the bucket's name, consequence.
_Judgement = tuple[str, Level, str, str]


def buckets(change: StageComparison) -> Iterator[Finding]:
    """Find what happens to buckets, their data and their protection."""
    yield from _gone(change)
    for resource in changed(change, BUCKET):
        if resource.is_added:
            yield from _public_from_the_start(change, resource)
        elif not is_whole(resource):
            yield from _properties(change, resource)


def _gone(change: StageComparison) -> Iterator[Finding]:
    """Yield buckets that leave the app, with those that come instead."""
    if change.before is None or change.after is None:
        return
    removed = [each for each in change.of_type(BUCKET) if each.is_removed]
    added = [each for each in change.of_type(BUCKET) if each.is_added]
    replaced = [
        (each, found)
        for each in changed(change, BUCKET)
        if (
            found := [
                one for one in each.differences if one.impact in REPLACING and one.kind is Kind.PROPERTY
            ]
        )
    ]
    other_store = [
        each.differences[index]
        for each in changed(change, _SEEDING)
        for index, one in enumerate(each.differences)
        if one.kind is Kind.PROPERTY and one.name == "Bucket"
    ]
    stays = [
        each for each in removed if each.impact is Impact.ORPHAN or each.stack not in change.after.stacks
    ]
    deleted = [each for each in removed if each not in stays]
    for each, causes in replaced:
        policy = (each.before or {}).get("UpdateReplacePolicy")
        (stays if policy in ("Retain", "RetainExceptOnCreate") else deleted).append(each)
        other_store += causes
    if deleted:
        yield Finding(
            rule="loss.data",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"bucket {_labels(deleted)} is deleted with its data"),
            consequence="Adapters, registry and base model are lost; a bucket that is not empty fails the "
            "deployment.",
            action="Keep the bucket and its logical id.",
            differences=(*_claimed(deleted), *_claimed(added if not stays else []), *other_store),
        )
    if stays or (other_store and not deleted):
        names = _labels(stays) or text(other_store[0].before)
        instead = f"; {_labels(added)} is new and empty" if added else ""
        yield Finding(
            rule="loss.left-behind",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"bucket {names} is left behind with its data{instead}"),
            consequence="It stays in the account and is billed, but the stage no longer reads it: published "
            "adapters, their history and captured requests are not moved.",
            action="Keep the bucket and its logical id, or copy its objects before the endpoint is updated.",
            differences=(*_claimed(stays), *_claimed(added), *(other_store if not deleted else [])),
        )


def _labels(resources: Sequence[ResourceChange]) -> str:
    return ", ".join(f"`{label(each)}`" for each in resources)


def _claimed(resources: Sequence[ResourceChange]) -> list[Difference]:
    return [one for each in resources for one in each.differences if one.kind is Kind.RESOURCE]


def _public_from_the_start(change: StageComparison, resource: ResourceChange) -> Iterator[Finding]:
    """Yield what a new bucket opens; without that, a new bucket is left to another rule."""
    for name, judge in _JUDGES.items():
        if name in _OPENING:
            found = judge(None, properties(resource.after).get(name), resource)
            if found is not None and found[1] is Level.BLOCK:
                yield _finding(change, resource, found, resource.differences)


def _properties(change: StageComparison, resource: ResourceChange) -> Iterator[Finding]:
    for difference in resource.differences:
        if difference.kind is not Kind.PROPERTY or difference.impact in REPLACING:
            continue
        if difference.name == "LifecycleConfiguration":
            yield _lifecycle(change, resource, difference)
        elif difference.name in _JUDGES:
            found = _JUDGES[difference.name](difference.before, difference.after, resource)
            if found is not None:
                yield _finding(change, resource, found, (difference,))


def _finding(
    change: StageComparison,
    resource: ResourceChange,
    judgement: _Judgement,
    differences: Sequence[Difference],
) -> Finding:
    rule, level, what, consequence = judgement
    return Finding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(f"bucket `{label(resource)}`: {what}"),
        consequence=consequence,
        action="" if level < Level.REVIEW else "Keep it as it was.",
        differences=tuple(differences),
        before=differences[0].before if len(differences) == 1 else None,
        after=differences[0].after if len(differences) == 1 else None,
    )


def _lifecycle(change: StageComparison, resource: ResourceChange, difference: Difference) -> Finding:
    found = compare_lifecycles(difference.before, difference.after)
    name = f"bucket `{label(resource)}`"
    lines = tuple(
        f"{key}: {days(new)} instead of {days(old)}"
        for key, (old, new) in ({**found.shorter, **found.longer}).items()
    )
    facts = change.facts("retention.retired_days", "retention.captured_days")
    revisions = [
        new
        for key, (_, new) in found.shorter.items()
        if key.prefix in ("", "adapters/") and "upload" not in key.action
    ]
    if found.shorter:
        what = f"{name} deletes objects earlier"
        if revisions:
            what += f": a rollback reaches back {days(min(revisions))}"
        level, consequence = (
            Level.REVIEW,
            "Objects that are older are deleted within a day or two of the deployment.",
        )
    elif not found.is_comparable:
        what, level = f"{name} has other lifecycle rules", Level.REVIEW
        consequence = "Objects may be deleted or moved earlier."
    else:
        what = (
            f"{name} deletes objects later"
            if found.longer
            else f"{name} has its lifecycle rules in another form"
        )
        level = Level.ROUTINE if found.longer else Level.NOISE
        consequence = "They are billed longer." if found.longer else ""
    return Finding(
        rule="form.lifecycle" if level is Level.NOISE else "loss.guard",
        level=level,
        stage=change.id,
        title=title(what),
        consequence=consequence,
        action="Keep the longer period, or save what is needed before." if level is Level.REVIEW else "",
        details=lines,
        differences=(difference, *facts),
        before=difference.before,
        after=difference.after,
    )


def _encryption(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    old, new = _key(before), _key(after)
    if old is None or new is None:
        return None
    if old != new:
        return (
            "loss.unreadable",
            Level.BLOCK,
            f"encrypted by {text(new[1] or new[0])} instead of {text(old[1] or old[0])}",
            "Its objects stay encrypted by the old key, which the roles lose the right to use.",
        )
    return (
        "loss.key",
        Level.ROUTINE,
        "bucket key changes",
        "It changes the number of calls to KMS, not the key.",
    )


def _key(encryption: Any) -> tuple[str, Any] | None:
    """Return algorithm and key of a bucket's default encryption; None if it has other settings.

    Without a setting S3 encrypts with its own keys (S3 user guide, "Setting default server-side encryption").
    """
    if encryption is None:
        return "AES256", None
    rules = encryption.get("ServerSideEncryptionConfiguration", [])
    if set(encryption) != {"ServerSideEncryptionConfiguration"} or len(rules) != 1:
        return None
    if not set(rules[0]) <= {"BucketKeyEnabled", "ServerSideEncryptionByDefault"}:
        return None
    default = rules[0].get("ServerSideEncryptionByDefault", {})
    return default.get("SSEAlgorithm", "AES256"), default.get("KMSMasterKeyID")


def _public_access_block(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    """Judge the block of public access.

    S3 blocks all for a new bucket without the property (S3 user guide, "Default settings for new S3
    buckets"); removing the property removes the block.
    """
    values = [*(before or {}).values(), *(after or {}).values()]
    if any(value not in (True, False, "true", "false") for value in values) or (
        resource.is_added and after is None
    ):
        return None
    opened = [
        name for name in _BLOCKS if not _is_set(after, name) and (_is_set(before, name) or resource.is_added)
    ]
    if opened:
        return (
            "access.public",
            Level.BLOCK,
            f"public access is no longer blocked ({', '.join(opened)})",
            "A policy or an ACL can make its objects public.",
        )
    return (
        "access.guard",
        Level.ROUTINE,
        "more public access is blocked, or as much",
        "Nothing public was in use.",
    )


def _is_set(block: Any, name: str) -> bool:
    return isinstance(block, dict) and block.get(name) in (True, "true")


def _acl(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    if after in _PUBLIC_ACLS:
        return (
            "access.public",
            Level.BLOCK,
            f"ACL {after}",
            "Its objects can be read by accounts outside of this one.",
        )
    return None


def _website(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    if after is None:
        return None
    return (
        "access.public",
        Level.BLOCK,
        "is served as a website",
        "A website's objects are read without credentials.",
    )


def _cors(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    rules = [] if after is None else after.get("CorsRules", [])
    if any(_ANY_ORIGIN.intersection(rule.get("AllowedOrigins", [])) for rule in rules):
        return (
            "access.public",
            Level.BLOCK,
            "any website may use it (CORS *)",
            "Browsers send requests of any page to it.",
        )
    return None


def _ownership(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    if after == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
        return "access.guard", Level.ROUTINE, "ACLs are off", "Only policies give access."
    return (
        "access.guard",
        Level.REVIEW,
        "ACLs are on",
        "The owner of an object can give others access to it, beside all policies.",
    )


def _versioning(before: Any, after: Any, resource: ResourceChange) -> _Judgement | None:
    if after == {"Status": "Enabled"}:
        return (
            "loss.guard",
            Level.ROUTINE,
            "versioning is on",
            "Overwritten and deleted objects can be restored.",
        )
    return (
        "loss.guard",
        Level.REVIEW,
        "versioning is off",
        "Overwritten and deleted objects are lost at once.",
    )


#: The properties that this module judges. Any other, such as `ReplicationConfiguration`, stays unknown.
_JUDGES: Mapping[str, Callable[[Any, Any, ResourceChange], _Judgement | None]] = {
    "BucketEncryption": _encryption,
    "PublicAccessBlockConfiguration": _public_access_block,
    "AccessControl": _acl,
    "WebsiteConfiguration": _website,
    "CorsConfiguration": _cors,
    "OwnershipControls": _ownership,
    "VersioningConfiguration": _versioning,
}
#: Those that can open a new bucket.
_OPENING = ("PublicAccessBlockConfiguration", "AccessControl", "WebsiteConfiguration", "CorsConfiguration")
