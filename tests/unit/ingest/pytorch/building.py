"""Checkpoints, good and bad, and what the conversion makes of them."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save

from adapters.files import BytesFile
from adapters.source import SourceError
from ingest.pytorch.converted_file import ConvertedFile

SOURCE = "hf://acme/pickled@main"


def saved(value: object, **options: Any) -> bytes:
    """Return the file that torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def archive(members: Mapping[str, bytes], folder: str = "archive") -> bytes:
    """Return a zip archive with these members below a folder, as Python's zipfile writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as target:
        for name, content in members.items():
            target.writestr(f"{folder}/{name}", content)
    return file.getvalue()


def checkpoint(pickle: bytes, **storages: bytes) -> bytes:
    """Return a checkpoint with this pickle; `storages` are its members by their key, with an underscore."""
    data = {f"data/{key.removeprefix('_')}": content for key, content in storages.items()}
    return archive({"data.pkl": pickle, "byteorder": b"little", **data, "version": b"3\n"})


def converted(content: bytes) -> bytes:
    """Return the safetensors file that a checkpoint becomes."""
    file = ConvertedFile(SOURCE, BytesFile(content))
    return bytes(file.read(0, file.size))


def refusal(content: bytes) -> str:
    """Return the message of the refusal; fail if the checkpoint is converted."""
    try:
        converted(content)
    except SourceError as error:
        assert str(error).startswith(f"source {SOURCE!r}: its adapter_model.bin "), error
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        return str(error)
    raise AssertionError("the checkpoint was converted")


def loaded(content: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors that PyTorch itself loads, each in its own memory."""
    # These files are ours. With weights_only PyTorch does not read every protocol that it writes.
    state = torch.load(io.BytesIO(content), weights_only=False)
    tensors = state.get("state_dict", state)
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def expected(content: bytes) -> bytes:
    """Return the file that PyTorch and safetensors make of a checkpoint."""
    return save(loaded(content), metadata={"format": "pt"})
