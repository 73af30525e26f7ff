"""The layout of the adapter store, an S3 bucket.

    adapters/<name>/<revision>/adapter_config.json         immutable
    adapters/<name>/<revision>/adapter_model.safetensors   immutable
    registry/<name>.json                                   which revision the name stands for now
    models/<model>/<revision>/…                            a base model, where it is mirrored
    seeding/<stack>/…                                      what a stage's seeder did, and does just now
    captured/…                                             requests and answers, where a stage records them

Adapter objects are never overwritten: both engines cache adapters on disk and do not look again. Of a
revision and of a model the config is put last, after all else has been checked: where it is, all is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from adapters.names import REVISION_LENGTH

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
#: An adapter is these two files and nothing else: LoRAX downloads all that lies under the prefix.
ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)

ADAPTERS_PREFIX = "adapters/"
REGISTRY_PREFIX = "registry/"
MODELS_PREFIX = "models/"
SEEDING_PREFIX = "seeding/"
CAPTURED_PREFIX = "captured/"


def content_digest(sha256_by_file: Mapping[str, str]) -> str:
    """One SHA-256 (hex) over a set of files, from their names and their own SHA-256 digests (hex)."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sha256_by_file.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def revision_of(digest: str) -> str:
    """The revision that a content digest gives."""
    return digest[:REVISION_LENGTH]


def adapter_prefix(name: str, revision: str) -> str:
    """The prefix of one revision's objects, which is also its engine id.

    The trailing slash is part of it: LoRAX lists by prefix, and without it `x/1` also matches `x/10`.
    """
    return f"{ADAPTERS_PREFIX}{name}/{revision}/"


def name_of(prefix: str) -> str:
    """The name whose revision lies below this prefix; see `adapter_prefix`."""
    return prefix.removeprefix(ADAPTERS_PREFIX).rstrip("/").rpartition("/")[0]


def registry_key(name: str) -> str:
    """The key of a name's registry entry."""
    return f"{REGISTRY_PREFIX}{name}.json"


def registered_name(key: str) -> str:
    """The name whose registry entry has this key."""
    return key.removeprefix(REGISTRY_PREFIX).removesuffix(".json")


def model_prefix(model: str, revision: str) -> str:
    """The prefix of a mirrored base model; the slash at its end is what SageMaker's S3Prefix wants."""
    return f"{MODELS_PREFIX}{model}/{revision}/"


@dataclass(frozen=True)
class RegistryEntry:
    """What the registry says of one adapter name."""

    name: str
    revision: str
    digest: str
    """SHA-256 (hex) over the revision's files; see `content_digest`."""
    rank: int
    size: int
    """Bytes of the weights file."""
    base_model: str
    source: str
    """Where the files came from, with the resolved commit if from the Hub."""
    sha256: str = ""
    """SHA-256 (hex) of the weights file; empty in entries of before it was kept."""
    source_version: str = ""
    """What tells whether a source that can change has changed: the ETags of an S3 source."""
    checked_for: str = ""
    """The rules that it was last checked by; see `adapters.validation.check_adapter.Rules`."""
    owner: str = ""
    """The stack that published it, whose manifest decides over it; or `by-hand`."""
    labels: dict[str, str] = field(default_factory=dict)
    """What its manifest says of it, for people."""

    @property
    def prefix(self) -> str:
        """The prefix of the current revision's objects."""
        return adapter_prefix(self.name, self.revision)

    def to_json(self) -> bytes:
        """The entry as it lies in the bucket."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, body: bytes) -> RegistryEntry:
        """Read an entry; fields of a later version are ignored."""
        return cls.from_dict(json.loads(body))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RegistryEntry:
        """Make an entry of what `dataclasses.asdict` gave."""
        return cls(**{known.name: data[known.name] for known in fields(cls) if known.name in data})
