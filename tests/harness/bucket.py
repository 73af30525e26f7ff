"""A bucket of the laptop cloud, to which adapters are published without the seeder."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from adapters.store.layout import WEIGHTS_FILE, RegistryEntry, content_digest, registry_key, revision_of
from tests.harness.sample_adapters import sample_files


class Bucket:
    """A bucket of the laptop cloud."""

    def __init__(self, s3: Any) -> None:
        self.name = f"contract-{uuid.uuid4().hex[:12]}"
        self.revisions: dict[str, str] = {}
        """The current revision of each name that was published."""
        self._s3 = s3
        s3.create_bucket(Bucket=self.name)

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, at most 1,000."""
        found = self._s3.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", ())]

    def put_sample(self, prefix: str, name: str, **config: object) -> None:
        """Put the files of a sample adapter, with changes to its config."""
        for file, content in sample_files(name, **config).items():
            self.put(f"{prefix.rstrip('/')}/{file}", content)

    def register(self, name: str, sample: str, **config: object) -> RegistryEntry:
        """Publish a sample adapter under a name, as the seeder does."""
        return self.publish(name, sample_files(sample, **config))

    def publish(self, name: str, files: Mapping[str, bytes], *, rank: int = 8) -> RegistryEntry:
        """Publish any files; of a revision without files only the registry knows."""
        digest = content_digest({file: hashlib.sha256(body).hexdigest() for file, body in files.items()})
        size = len(files.get(WEIGHTS_FILE, b""))
        entry = RegistryEntry(name, revision_of(digest), digest, rank, size, "tiny-mistral", "tests")
        for file, content in files.items():
            self.put(entry.prefix + file, content)
        self.put_entry(entry)
        return entry

    def put_entry(self, entry: RegistryEntry) -> None:
        """Write the registry entry alone."""
        self.put(registry_key(entry.name), entry.to_json())
        self.revisions[entry.name] = entry.revision

    def unregister(self, name: str) -> None:
        """Delete the registry entry; the revision's objects stay."""
        self.delete(registry_key(name))
        del self.revisions[name]
