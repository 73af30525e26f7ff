"""Properties that protect a bucket's objects: encryption, versions, and what the public can reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loraserve.review.comparison import ResourceChange
from loraserve.review.finding import Level
from loraserve.review.values import is_object, mapping, text

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
#: Canned ACLs that grant to everybody or to every AWS account (S3 user guide, "Canned ACL").
_PUBLIC_ACLS = ("PublicRead", "PublicReadWrite", "AuthenticatedRead")
_ANY_ORIGIN = {"*", "http://*", "https://*"}
#: Rule, level, title after the bucket's name, consequence.
Judgement = tuple[str, Level, str, str]


def _encryption(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    old, new = _key(before), _key(after)
    if old is None or new is None:
        return None
    if old[1] is not None and old[1] == new[1] and old[0] != new[0]:
        return (
            "loss.key",
            Level.REVIEW,
            f"encrypted as {text(new[0])} instead of {text(old[0])}",
            "The key is the same: what is stored stays readable.",
        )
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
    if not isinstance(encryption, dict):
        return None
    rules = encryption.get("ServerSideEncryptionConfiguration")
    rule = rules[0] if isinstance(rules, list) and len(rules) == 1 else None
    default = mapping(rule).get("ServerSideEncryptionByDefault", {})
    if (
        set(encryption) != {"ServerSideEncryptionConfiguration"}
        or not isinstance(rule, dict)
        or not set(rule) <= {"BucketKeyEnabled", "ServerSideEncryptionByDefault"}
        or not (isinstance(default, dict) and is_object(default))
    ):
        return None
    return default.get("SSEAlgorithm", "AES256"), default.get("KMSMasterKeyID")


def _public_access_block(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    """Judge the block of public access.

    S3 blocks all for a new bucket without the property (S3 user guide, "Default settings for new S3
    buckets"); removing the property removes the block.
    """
    if not all(isinstance(each, dict | None) for each in (before, after)):
        return None
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


def _acl(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    if after in _PUBLIC_ACLS:
        return (
            "access.public",
            Level.BLOCK,
            f"ACL {after}",
            "Its objects can be read by accounts outside of this one.",
        )
    return None


def _website(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    if after is None:
        return None
    return (
        "access.public",
        Level.BLOCK,
        "is served as a website",
        "A website's objects are read without credentials.",
    )


def _cors(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    rules = [] if after is None else after.get("CorsRules", [])
    if any(_ANY_ORIGIN.intersection(rule.get("AllowedOrigins", [])) for rule in rules):
        return (
            "access.public",
            Level.BLOCK,
            "any website may use it (CORS *)",
            "Browsers send requests of any page to it.",
        )
    return None


def _ownership(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
    if after == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
        return "access.guard", Level.ROUTINE, "ACLs are off", "Only policies give access."
    return (
        "access.guard",
        Level.REVIEW,
        "ACLs are on",
        "The owner of an object can give others access to it, beside all policies.",
    )


def _versioning(before: Any, after: Any, resource: ResourceChange) -> Judgement | None:
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
JUDGES: Mapping[str, Callable[[Any, Any, ResourceChange], Judgement | None]] = {
    "BucketEncryption": _encryption,
    "PublicAccessBlockConfiguration": _public_access_block,
    "AccessControl": _acl,
    "WebsiteConfiguration": _website,
    "CorsConfiguration": _cors,
    "OwnershipControls": _ownership,
    "VersioningConfiguration": _versioning,
}
#: Those that can open a new bucket.
OPENING = ("PublicAccessBlockConfiguration", "AccessControl", "WebsiteConfiguration", "CorsConfiguration")
