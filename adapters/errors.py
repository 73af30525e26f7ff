"""The errors about adapters. Each message names the adapter, the problem and the remedy.

    AdapterError                     raised as such where no caller distinguishes it
        InvalidName                  adapters.errors: a name or a revision
        InvalidAdapter               adapters.errors: the content of an adapter's files
            InvalidFiles             adapters.errors: content that can be corrected in the files
        SourceError                  adapters.source: a malformed or unreadable source
            HubUnavailable           ingest.hub: the Hub cannot be asked; nothing is known of the source
            ClosedRepository         ingest.hub: gated, private or absent
        InvalidBaseModel             adapters.validation.base_model: the base model's files or access
        DamagedEntry                 adapters.store.registry: a registry entry
        PublishConflict              adapters.store.registry: another owner or publisher
        Removal                      lambdas.adapter_seeder.removals: published, and not in the manifest
        UnknownAdapter               loraserve.adapters.stage_store: a name that is not published
        NoRevision                   loraserve.adapters.rollback: no revision to roll back to

Other exceptions of the store are signals between its callers, and no user sees them: `OutOfTime` and
`ContentMismatch` (adapters.store.transfer), `NotAnObject` (adapters.strict_json), `UnreadableEntry`
(adapters.store.layout).
"""

from __future__ import annotations


class AdapterError(Exception):
    """An adapter, a name or a reference that cannot be used."""

    def __init__(self, adapter: str, problem: str, remedy: str) -> None:
        """`adapter` is the name, reference or path that the caller wrote."""
        super().__init__(f"adapter {adapter!r}: {problem}; {remedy}")
        self.adapter = adapter
        self.problem = problem
        self.remedy = remedy


class InvalidName(AdapterError):
    """A name or a revision that breaks the rules of `adapters.names`."""


class InvalidAdapter(AdapterError):
    """Files that are not a LoRA adapter, or not one that the engine can serve."""


class InvalidFiles(InvalidAdapter):
    """An adapter whose files have to be edited or saved again, which the owner of the source alone can do."""
