"""The layout of the adapter store, an S3 bucket.

    adapters/<name>/<revision>/adapter_config.json         immutable
    adapters/<name>/<revision>/adapter_model.safetensors   immutable
    registry/<name>.json                                   the revision that the name points to
    models/<model>/<revision>/…                            a base model, if it is mirrored
    seeding/<stack>/…                                      checkpoint, status and report of a stage's seeder
    captured/…                                             requests and responses, if a stage captures them
    releases/…                                             releases, and records of the deployments
    probes/<revision>/<conditions>.json                    what an engine computed with it; immutable
    demand/<endpoint>/<instance>.json                      how often an instance was asked for each adapter

Adapter objects are never overwritten: both engines cache adapters on disk and do not refresh them. The config
of a revision, and that of a model, is uploaded last, after all other files are verified: if the config is in
the bucket, the revision is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from adapters.errors import InvalidName
from adapters.names import REVISION_LENGTH, check_revision

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
#: An adapter has these two files and no other: LoRAX downloads every object under the prefix.
ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)

ADAPTERS_PREFIX = "adapters/"
REGISTRY_PREFIX = "registry/"
MODELS_PREFIX = "models/"
SEEDING_PREFIX = "seeding/"
CAPTURED_PREFIX = "captured/"
RELEASES_PREFIX = "releases/"
PROBES_PREFIX = "probes/"
DEMAND_PREFIX = "demand/"


def content_digest(sha256_by_file: Mapping[str, str]) -> str:
    """Return one SHA-256 (hex) over a set of files, from their names and their SHA-256 digests (hex)."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sha256_by_file.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def revision_of(digest: str) -> str:
    """Return the revision of a content digest."""
    return digest[:REVISION_LENGTH]


def adapter_prefix(name: str, revision: str) -> str:
    """Return the prefix of one revision's objects, which is also its engine id.

    It ends with a slash: LoRAX lists by prefix, and without the slash `x/1` also matches `x/10`.
    """
    return f"{ADAPTERS_PREFIX}{name}/{revision}/"


def name_of(prefix: str) -> str:
    """Return the name in the prefix of a revision; see `adapter_prefix`."""
    return prefix.removeprefix(ADAPTERS_PREFIX).rstrip("/").rpartition("/")[0]


def registry_key(name: str) -> str:
    """Return the key of a name's registry entry."""
    return f"{REGISTRY_PREFIX}{name}.json"


def registered_name(key: str) -> str:
    """Return the name whose registry entry has this key."""
    return key.removeprefix(REGISTRY_PREFIX).removesuffix(".json")


def model_prefix(model: str, revision: str) -> str:
    """Return the prefix of a mirrored base model; SageMaker's S3Prefix requires the slash at its end."""
    return f"{MODELS_PREFIX}{model}/{revision}/"


#: Each of these is raised for some body that is not JSON, or that is other JSON.
_MALFORMED = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, InvalidName,
)  # fmt: skip


class UnreadableEntry(ValueError):
    """The body of a registry entry that is not JSON, lacks a field, or has a value of another type."""


@dataclass(frozen=True)
class RegistryEntry:
    """The registry entry of one adapter name."""

    name: str
    revision: str
    digest: str
    """SHA-256 (hex) over the revision's files; see `content_digest`."""
    rank: int
    size: int
    """Bytes of the weights file."""
    base_model: str
    source: str
    """Source of the files; a Hub source with its resolved commit."""
    sha256: str = ""
    """SHA-256 (hex) of the weights file; empty in entries that older versions wrote."""
    source_version: str = ""
    """State of a source that can change: the ETags of an S3 source."""
    checked_for: str = ""
    """The rules that it was last checked by; see `adapters.validation.rules.Rules.checked_for`."""
    owner: str = ""
    """The stack whose manifest published it; or `by-hand`."""
    converted_from: str = ""
    """Name of the source's file that the weights were converted from; empty if they were not converted."""
    source_sha256: str = ""
    """SHA-256 (hex) of `converted_from`; empty if the weights were not converted."""
    origin: str = ""
    """Source from which the first of the stages took the files, with its commit; empty if it is `source`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels from the manifest or the command line; see `adapters.limits` for those that have an effect."""
    limits: dict[str, int] = field(default_factory=dict)
    """Limits of the adapter, as in `adapters.limits.Limits`; empty for none."""
    tenant_limits: dict[str, int] = field(default_factory=dict)
    """Limits of the tenant that the label `tenant` names, which all its adapters share; empty for none."""

    @property
    def prefix(self) -> str:
        """The prefix of the current revision's objects."""
        return adapter_prefix(self.name, self.revision)

    @property
    def stated_sha256(self) -> str:
        """SHA-256 (hex) of the weights file that the source has, to which a manifest's `sha256` refers."""
        return self.source_sha256 if self.converted_from else self.sha256

    def to_json(self) -> bytes:
        """Return the entry as it is stored in the bucket."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, body: bytes) -> RegistryEntry:
        """Parse an entry; fields of a later version are ignored. Raises `UnreadableEntry`."""
        try:
            entry = cls.from_dict(json.loads(body))
            check_revision(str(entry.name), entry.revision)
            return replace(entry, size=int(entry.size), rank=int(entry.rank))
        except _MALFORMED as error:
            raise UnreadableEntry("it is not a registry entry") from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RegistryEntry:
        """Build an entry from the result of `dataclasses.asdict`; later versions' fields are ignored."""
        return cls(**{known.name: data[known.name] for known in fields(cls) if known.name in data})
