"""The error of a checkpoint that is not converted."""

from __future__ import annotations

#: The remedy of everything that a file of today's PEFT does not have.
SAVE_AGAIN = "save the adapter as safetensors: save_pretrained(…, safe_serialization=True) of a current PEFT"
DAMAGED = "it was cut off or damaged on the way: save or upload it again"


class UnusableCheckpoint(Exception):
    """A file that is not converted; `ConvertedFile` turns it into a `SourceError` with the source's name."""

    def __init__(self, problem: str, remedy: str = SAVE_AGAIN) -> None:
        """`problem` continues a sentence that begins with the file's name: `adapter_model.bin …`."""
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
