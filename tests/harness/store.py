"""A fresh adapter store and the seeder's call on it."""

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from adapters.files import BytesFile
from adapters.source import PackedSource, parse_source
from adapters.store.layout import ADAPTER_FILES, WEIGHTS_FILE, RegistryEntry
from adapters.store.registry import AdapterRegistry
from adapters.validation.rules import Rules
from ingest.archive import Archive
from ingest.hub import Hub
from ingest.model_files import ModelFiles
from lambdas.adapter_seeder.desired_state import DesiredAdapter, DesiredState
from lambdas.adapter_seeder.outcome import Report
from lambdas.adapter_seeder.seeder import Seeder
from lambdas.adapter_seeder.served_model import ServedModel
from tests.harness import factories
from tests.harness.sample_adapters import digest_of

SAMPLE_RULES = Rules("vllm", 8, "tiny-mistral", None)
MADE_RULES = Rules("vllm", 64, factories.BASE, None)


class Store:
    """One bucket, its registry, and seedings into it."""

    def __init__(self, s3: Any, *, rules: Rules = SAMPLE_RULES) -> None:
        self.s3 = s3
        self.bucket = f"store-{uuid.uuid4().hex[:12]}"
        self.rules = rules
        self.registry = AdapterRegistry(s3, self.bucket)
        s3.create_bucket(Bucket=self.bucket)
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def seed(self, adapters: Mapping[str, Mapping[str, bytes] | str], **options: Any) -> Report:
        """Seed; see `seeding`."""
        return self.seeding(adapters, **options).run()

    def seeding(
        self,
        adapters: Mapping[str, Mapping[str, bytes] | str],
        *,
        owner: str = "stack",
        manifest: str | None = None,
        sha256: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
        origins: Mapping[str, str] | None = None,
        labels: Mapping[str, dict[str, str]] | None = None,
        limits: Mapping[str, dict[str, int]] | None = None,
        hub: Hub | None = None,
        base_model: Callable[[], ModelFiles] | None = None,
        model_prefix: str | None = None,
        base_revision: str = "0" * 40,
        removals: float = 0.2,
        is_rollback: Callable[[], bool] = lambda: False,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Seeder:
        """Return the seeder of one run; an adapter is its files, packed into the manifest asset, or a source.

        The base model is the one that the store's rules name, unless another is given.
        """
        made = self.rules.base_model == factories.BASE
        find = base_model or (factories.base_model if made else factories.sample_base_model)
        archive = io.BytesIO()
        desired = []
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as asset:
            for name, given in adapters.items():
                known = (sha256 or {}).get(name)
                if isinstance(given, str):
                    source = parse_source(given)
                else:
                    source = PackedSource(digest_of(given))
                    known = known or hashlib.sha256(given[WEIGHTS_FILE]).hexdigest()
                    for file, content in given.items():
                        path = f"adapters/{source.digest}/{file}"
                        if path not in asset.namelist():
                            asset.writestr(path, content)
                desired.append(
                    DesiredAdapter(
                        name,
                        source,
                        known,
                        (labels or {}).get(name, {}),
                        (digests or {}).get(name),
                        (origins or {}).get(name, ""),
                        (limits or {}).get(name, {}),
                    )
                )
        return Seeder(
            self.s3,
            self.bucket,
            owner=owner,
            desired=DesiredState(
                manifest or repr(desired), desired, removals, archive=Archive(BytesFile(archive.getvalue()))
            ),
            rules=self.rules,
            hub=hub or Hub("http://127.0.0.1:9"),
            base_model=ServedModel(find, revision=base_revision, mirror_prefix=model_prefix),
            is_rollback=is_rollback,
            has_time=has_time,
        )

    def names(self) -> list[str]:
        return sorted(self.registry.etags())

    def entry(self, name: str) -> RegistryEntry:
        published = self.registry.get(name)
        assert published is not None, f"{name} is not published"
        return published.entry

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def status(self, owner: str = "stack") -> dict[str, Any]:
        body = self.s3.get_object(Bucket=self.bucket, Key=f"seeding/{owner}/status.json")["Body"]
        content: dict[str, Any] = json.loads(body.read())
        return content

    def tags(self, key: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
        return found

    def check(self) -> None:
        """Assert that every published revision is complete, matches its entry and has no third file."""
        for name in self.names():
            entry = self.entry(name)
            found = {
                key.removeprefix(entry.prefix): content for key, content in self.objects(entry.prefix).items()
            }
            assert sorted(found) == sorted(ADAPTER_FILES), name
            assert digest_of(found) == entry.digest, name
            assert entry.digest.startswith(entry.revision), name
