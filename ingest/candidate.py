"""A candidate for publication: located, checked and identified by its revision, but not yet transferred."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.files import sha256_of
from adapters.source import LocalSource, PackedSource, parse_source
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, content_digest, revision_of
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import AdapterFacts, check_adapter
from adapters.validation.rules import Rules
from ingest.adapter_files import AdapterFiles, Conversion
from ingest.pytorch.converted_file import CHECKPOINT_FILE, ConvertedFile

#: Beginnings of the remedies that make other files: a copy of these is no help.
_OTHER_FILES = ("train ", "name the PEFT adapter ")


@dataclass(frozen=True)
class Candidate:
    """An adapter that passed the stage's rules."""

    files: AdapterFiles
    facts: AdapterFacts
    sha256: str
    """SHA-256 (hex) of the weights as they are published."""
    digest: str
    """SHA-256 (hex) over both files; see `content_digest`."""
    conversion: Conversion | None = None
    """The file that the weights are converted from, with its SHA-256."""

    @property
    def revision(self) -> str:
        """The revision under which it is published."""
        return revision_of(self.digest)

    def entry(
        self,
        name: str,
        *,
        base_model: str,
        checked_for: str,
        owner: str,
        labels: dict[str, str],
        limits: dict[str, int],
        tenant_limits: dict[str, int],
        origin: str = "",
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
            converted_from=self.conversion.file if self.conversion else "",
            source_sha256=(self.conversion.sha256 or "") if self.conversion else "",
            checked_for=checked_for,
            owner=owner,
            origin=origin,
            labels=labels,
            limits=limits,
            tenant_limits=tenant_limits,
        )


def check_candidate(
    name: str,
    files: AdapterFiles,
    rules: Rules,
    base: BaseModelFacts | None,
    expected_sha256: str | None,
    expected_digest: str | None = None,
) -> Candidate:
    """Check an adapter by the stage's rules; raises `InvalidAdapter`, and what reading the weights raises.

    `expected_sha256` (hex) is the manifest's, of the weights file that the source has; `expected_digest` its
    digest over both files, as they are published. The weights are read
    only if neither the manifest nor the source states their SHA-256, and a checkpoint of PyTorch always: the
    hash of what it is converted to is stated nowhere.
    """
    try:
        facts = check_adapter(name, files.config, files.weights, rules, base)
    except InvalidFiles as error:
        is_own = isinstance(parse_source(files.source), LocalSource | PackedSource)
        if is_own or error.remedy.startswith(_OTHER_FILES):
            raise
        raise InvalidFiles(
            name, error.problem, f"{error.remedy}; or do so in a copy, and name its s3:// prefix or directory"
        ) from error
    stated = files.stated_sha256
    if expected_sha256 and stated and expected_sha256 != stated:
        raise InvalidAdapter(
            name, f"its weights hash to {stated}, expected {expected_sha256}", _which(files.conversion)
        )
    conversion = files.conversion
    if isinstance(files.weights, ConvertedFile):
        digests = files.weights.digests(
            lambda found: _check_checkpoint(name, found, expected_sha256 or stated)
        )
        # Its layout is not needed until the upload, which may be that of thousands of adapters later.
        files.weights.forget()
        conversion = Conversion(CHECKPOINT_FILE, digests.checkpoint, digests.converted)
        sha256 = digests.converted
    elif conversion is not None:
        sha256 = files.sha256 or sha256_of(files.weights)
    else:
        sha256 = expected_sha256 or files.sha256 or sha256_of(files.weights)
    digest = content_digest({CONFIG_FILE: hashlib.sha256(files.config).hexdigest(), WEIGHTS_FILE: sha256})
    if expected_digest not in {None, digest}:
        raise InvalidAdapter(
            name,
            f"its two files have the digest {digest}, the manifest says {expected_digest}",
            "put the files that were locked back to the source, or lock the adapter again",
        )
    return Candidate(files, facts, sha256, digest, conversion)


def _check_checkpoint(name: str, found: str, expected: str | None) -> None:
    """Refuse a checkpoint that has another SHA-256 (hex) than expected, before it is converted."""
    if expected not in {None, found}:
        raise InvalidAdapter(
            name,
            f"its {CHECKPOINT_FILE} hashes to {found}, expected {expected}",
            "the source was damaged or changed: check it, and the manifest's sha256 if there is one, which "
            "is that of the source's file",
        )


def _which(conversion: Conversion | None) -> str:
    if conversion is None:
        return "check which of both is meant"
    return f"check which of both is meant: the manifest's sha256 is that of the source's {conversion.file}"
