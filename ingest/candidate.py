"""A candidate for publication: located, checked and identified by its revision, but not yet transferred."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from adapters.errors import InvalidAdapter
from adapters.files import sha256_of
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, content_digest, revision_of
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import AdapterFacts, check_adapter
from adapters.validation.rules import Rules
from ingest.locator import AdapterFiles


@dataclass(frozen=True)
class Candidate:
    """An adapter that passed the stage's rules."""

    files: AdapterFiles
    facts: AdapterFacts
    sha256: str
    """SHA-256 (hex) of the weights."""
    digest: str
    """SHA-256 (hex) over both files; see `content_digest`."""

    @property
    def revision(self) -> str:
        """The revision under which it is published."""
        return revision_of(self.digest)

    def entry(
        self, name: str, *, base_model: str, checked_for: str, owner: str, labels: dict[str, str]
    ) -> RegistryEntry:
        """Return the registry entry with which it is published."""
        return RegistryEntry(
            name=name,
            revision=self.revision,
            digest=self.digest,
            sha256=self.sha256,
            rank=self.facts.rank,
            size=self.files.weights.size,
            base_model=base_model,
            source=self.files.source,
            source_version=self.files.version,
            checked_for=checked_for,
            owner=owner,
            labels=labels,
        )


def check_candidate(
    name: str, files: AdapterFiles, rules: Rules, base: BaseModelFacts | None, expected_sha256: str | None
) -> Candidate:
    """Check an adapter by the stage's rules; raises `InvalidAdapter`.

    The weights are read only if neither the manifest nor the source states their SHA-256.
    """
    facts = check_adapter(name, files.config, files.weights, rules, base)
    if expected_sha256 and files.sha256 and expected_sha256 != files.sha256:
        raise InvalidAdapter(
            name,
            f"its weights hash to {files.sha256}, expected {expected_sha256}",
            "check which of both is meant",
        )
    sha256 = expected_sha256 or files.sha256 or sha256_of(files.weights)
    digest = content_digest({CONFIG_FILE: hashlib.sha256(files.config).hexdigest(), WEIGHTS_FILE: sha256})
    return Candidate(files, facts, sha256, digest)
