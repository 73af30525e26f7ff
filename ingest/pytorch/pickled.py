"""Objects that `unpickler` builds for the classes and functions of its allow-list: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.strict_json import shown
from ingest.pytorch.errors import DAMAGED, UnusableCheckpoint

#: Element types by the name of their storage class in `torch`. One without a conversion is refused by its
#: name.
STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
#: Element types that `torch` names by itself, for `_rebuild_tensor_v3`.
DTYPES = {*STORAGES.values(), *(f"uint{bits}" for bits in (16, 32, 64))} | {
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
    "float4_e2m1fn_x2",
}  # fmt: skip
#: Storages of `_rebuild_tensor_v3`: bytes, without an element type.
UNTYPED = "bytes"
_MOST_DIMENSIONS = 16
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a pickle names; it is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Storage:
    """A member with the elements of one or more tensors."""

    dtype: str
    """Name of the element type; `UNTYPED` for bytes."""
    key: str
    """Name of the member, below `data/`."""
    count: int
    """Number of elements."""


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor as the pickle describes it; nothing is checked against its storage yet."""

    storage: Storage
    dtype: str
    offset: int
    """First element in the storage."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements between two neighbours, by dimension."""


def storage_of(reference: object) -> Storage:
    """Return the storage of a persistent id."""
    match reference:
        case ("storage", Global(module, name), str(key), str(), int(count)) if not isinstance(count, bool):
            dtype = STORAGES.get(name) if module == "torch" else None
            if (module, name) in {("torch.storage", "UntypedStorage"), ("torch", "UntypedStorage")}:
                dtype = UNTYPED
            if dtype is None:
                raise refused(Global(module, name))
            if not 0 <= count <= _MOST:
                raise UnusableCheckpoint(f"has a storage of {count} elements", DAMAGED)
            return Storage(dtype, key, count)
    raise UnusableCheckpoint("refers to an object outside of it that is not a storage of tensors")


def called(function: Global, arguments: tuple[object, ...]) -> object:
    """Return what a call of a function of the allow-list stands for."""
    match (str(function), arguments):
        case ("collections.OrderedDict", ()):
            return {}
        case ("torch._utils._rebuild_tensor_v2", (Storage() as storage, offset, shape, strides, _, _, *rest)):
            if len(rest) <= 1:
                return _tensor(storage, storage.dtype, offset, shape, strides)
        case (
            "torch._utils._rebuild_tensor_v3",
            (Storage() as storage, offset, shape, strides, _, _, Global() as dtype, *rest),
        ):
            if len(rest) <= 1 and storage.dtype == UNTYPED:
                return _tensor(storage, dtype.name, offset, shape, strides)
        case ("torch._utils._rebuild_parameter", (PickledTensor() as tensor, _, _)):
            return tensor
        case ("torch._utils._rebuild_parameter_with_state", (PickledTensor() as tensor, _, _, _)):
            return tensor
        case (name, _) if name not in CALLABLE:
            raise refused(function)
    raise UnusableCheckpoint(f"calls {function} with arguments that PyTorch does not write")


#: The only functions that a pickle may call.
CALLABLE = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
#: All that a pickle may name.
ALLOWED = (
    CALLABLE
    | {f"torch.{name}" for name in (*STORAGES, *DTYPES, "UntypedStorage")}
    | {"torch.storage.UntypedStorage"}
)


def named(module: str, name: str) -> Global:
    """Return a class or function of the allow-list; raises `UnusableCheckpoint` that names any other."""
    found = Global(module, name)
    # The dot between them: `torch` and `_utils.x` are another lookup than `torch._utils` and `x`.
    if str(found) not in ALLOWED or "." in name:
        raise refused(found)
    return found


def refused(what: Global) -> UnusableCheckpoint:
    """Return the error about a class or function that is not in the allow-list."""
    return UnusableCheckpoint(
        f"names {shown(str(what))}, which is no part of an adapter's tensors: nothing of it was run",
        "check where the file comes from; if you trust it, save the adapter as safetensors: "
        "save_pretrained(…, safe_serialization=True)",
    )


def _tensor(storage: Storage, dtype: str, offset: object, shape: object, strides: object) -> PickledTensor:
    if not (_are_sizes((offset,)) and _are_sizes(shape) and _are_sizes(strides)):
        raise UnusableCheckpoint("has a tensor whose shape, strides or offset cannot be", DAMAGED)
    assert isinstance(offset, int) and isinstance(shape, tuple) and isinstance(strides, tuple)  # noqa: S101 — for mypy
    if len(shape) != len(strides):
        raise UnusableCheckpoint("has a tensor whose shape, strides or offset cannot be", DAMAGED)
    return PickledTensor(storage, dtype, offset, shape, strides)


def _are_sizes(value: object) -> bool:
    # type(): true is an int to Python.
    return (
        isinstance(value, tuple)
        and len(value) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size <= _MOST for size in value)
    )
