"""One adapter before anything of it is transferred: found, checked, and known by its revision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from adapters.errors import InvalidAdapter
from adapters.files import sha256_of
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, content_digest, revision_of
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import AdapterFacts, Rules, check_adapter
from ingest.locator import Located


@dataclass(frozen=True)
class Examined:
    """An adapter that may be published."""

    located: Located
    facts: AdapterFacts
    sha256: str
    """Of the weights (hex)."""
    digest: str

    @property
    def revision(self) -> str:
        """The revision that it gets."""
        return revision_of(self.digest)

    def entry(
        self, name: str, *, base_model: str, checked_for: str, owner: str, labels: dict[str, str]
    ) -> RegistryEntry:
        """The registry entry with which it is published."""
        return RegistryEntry(
            name=name,
            revision=self.revision,
            digest=self.digest,
            sha256=self.sha256,
            rank=self.facts.rank,
            size=self.located.weights.size,
            base_model=base_model,
            source=self.located.source,
            source_version=self.located.version,
            checked_for=checked_for,
            owner=owner,
            labels=labels,
        )


def examine(
    name: str, located: Located, rules: Rules, base: BaseModelFacts | None, expected_sha256: str | None
) -> Examined:
    """Check an adapter by the stage's rules; raises `InvalidAdapter`.

    Its weights are read only if their SHA-256 is known neither to the manifest nor to the source.
    """
    facts = check_adapter(name, located.config, located.weights, rules, base)
    if expected_sha256 and located.sha256 and expected_sha256 != located.sha256:
        raise InvalidAdapter(
            name,
            f"its weights hash to {located.sha256}, expected {expected_sha256}",
            "check which of both is meant",
        )
    sha256 = expected_sha256 or located.sha256 or sha256_of(located.weights)
    digest = content_digest({CONFIG_FILE: hashlib.sha256(located.config).hexdigest(), WEIGHTS_FILE: sha256})
    return Examined(located, facts, sha256, digest)
