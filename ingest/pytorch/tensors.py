"""The tensors of a checkpoint: found in its pickle, and checked against the members with their elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.strict_json import shown
from ingest.pytorch.errors import DAMAGED, SAVE_AGAIN, UnusableCheckpoint
from ingest.pytorch.pickled import UNTYPED, PickledTensor
from ingest.pytorch.zip_directory import ZipMember

#: Element types that are converted: safetensors' name and bytes.
DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}
#: An adapter of a mixture of eight experts with 32 layers has 1,800. Each takes 700 bytes of memory, and 32
#: adapters may be uploaded at the same time.
MAX_TENSORS = 10_000
#: Bytes of a tensor whose elements are not in their order in the file. Its elements are gathered from the
#: whole of its storage for each part of the upload, so this bounds how often that is read.
MAX_SCATTERED_BYTES = 512 * 1024 * 1024
#: Bytes from the first to the last element, over all tensors whose elements are not in their order: more of
#: them are views of the same elements again and again.
MAX_ALL_SCATTERED_BYTES = 8 * 1024**3
#: Bytes of a tensor's name.
_MAX_NAME_BYTES = 1024
_CONTIGUOUS = f"{SAVE_AGAIN}, or with .contiguous() on each tensor"


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor whose elements are all within a member of the file."""

    name: str
    dtype: str
    """As safetensors names it."""
    item: int
    """Bytes of an element."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements between two neighbours, by dimension."""
    member: ZipMember
    offset: int
    """First byte in the member's data."""

    @property
    def size(self) -> int:
        """Bytes of all elements."""
        count = self.item
        for side in self.shape:
            count *= side
        return count


def find_tensors(root: object, members: Mapping[str, ZipMember]) -> list[SourceTensor]:
    """Return the tensors of a checkpoint, in the order of its dict.

    `root` is the object of its pickle: a dict of tensors, or a dict that has one as a value. Raises
    `UnusableCheckpoint`.
    """
    found = _state_dict(root)
    if len(found) > MAX_TENSORS:
        raise UnusableCheckpoint(f"has {len(found)} tensors, of which at most {MAX_TENSORS} are read")
    tensors = [_checked(name, tensor, members) for name, tensor in found.items()]
    scattered = sum(_span(tensor) for tensor in tensors if not is_in_order(tensor))
    if scattered > MAX_ALL_SCATTERED_BYTES:
        raise UnusableCheckpoint(f"has tensors in another order, over {scattered} bytes", _CONTIGUOUS)
    return tensors


def _state_dict(root: object) -> dict[str, PickledTensor]:
    if not isinstance(root, dict):
        raise UnusableCheckpoint("holds no dict of tensors")
    if any(isinstance(value, PickledTensor) for value in root.values()):
        return _only_tensors("", root)
    nested = {
        key: value
        for key, value in root.items()
        if isinstance(value, dict) and any(isinstance(inner, PickledTensor) for inner in value.values())
    }
    if len(nested) != 1:
        among = f": {', '.join(sorted(shown(key) for key in nested))}" if nested else ""
        count = "more than one dict" if nested else "no dict"
        raise UnusableCheckpoint(f"holds {count} of tensors{among}")
    [(key, value)] = nested.items()
    return _only_tensors(f" in {shown(key)}", value)


def _only_tensors(where: str, values: Mapping[object, object]) -> dict[str, PickledTensor]:
    tensors: dict[str, PickledTensor] = {}
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, PickledTensor):
            raise UnusableCheckpoint(f"has an entry {shown(name)}{where} that is no tensor")
        if not 0 < len(name.encode(errors="replace")) <= _MAX_NAME_BYTES or not name.isprintable():
            raise UnusableCheckpoint(f"has a tensor with an unusable name, {shown(name)}")
        if name == "__metadata__":
            raise UnusableCheckpoint("has a tensor __metadata__, a name that safetensors reserves")
        tensors[name] = value
    return tensors


def _checked(name: str, tensor: PickledTensor, members: Mapping[str, ZipMember]) -> SourceTensor:
    storage = tensor.storage
    if tensor.dtype not in DTYPES:
        raise UnusableCheckpoint(
            f"has the tensor {shown(name)} of type {tensor.dtype}, which is not converted",
            "save it as float32, float16 or bfloat16",
        )
    dtype, item = DTYPES[tensor.dtype]
    member = members.get(f"data/{storage.key}")
    if member is None:
        raise UnusableCheckpoint(f"lacks the member of tensor {shown(name)}", DAMAGED)
    if storage.count * (1 if storage.dtype == UNTYPED else item) != member.size:
        raise UnusableCheckpoint(
            f"has {member.size} bytes for tensor {shown(name)}, its pickle says {storage.count} elements",
            DAMAGED,
        )
    found = SourceTensor(name, dtype, item, tensor.shape, tensor.strides, member, tensor.offset * item)
    if found.size and found.offset + _span(found) > member.size:
        raise UnusableCheckpoint(f"has the tensor {shown(name)} beyond the end of its storage", DAMAGED)
    if not is_in_order(found):
        _check_scattered(found)
    return found


def _span(tensor: SourceTensor) -> int:
    """Return the bytes from the first to the last element of a tensor that has elements."""
    return item_span(tensor.shape, tensor.strides) * tensor.item


def item_span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return the elements from the first to the last of a tensor that has elements."""
    return 1 + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))


def is_in_order(tensor: SourceTensor) -> bool:
    """Return whether the elements follow each other in the file as in the tensor."""
    expected = 1
    for side, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if side != 1 and stride != expected:
            return tensor.size == 0
        expected *= side
    return True


def _check_scattered(tensor: SourceTensor) -> None:
    if tensor.size > MAX_SCATTERED_BYTES or _span(tensor) > MAX_SCATTERED_BYTES:
        raise UnusableCheckpoint(
            f"has the elements of tensor {shown(tensor.name)} in another order, over {_span(tensor)} bytes",
            _CONTIGUOUS,
        )
    # Slices, transposes and expansions of a tensor have each element once, or every one of a side at once.
    reach = 0
    for stride, side in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if side == 1 or stride == 0:
            continue
        if stride <= reach:
            raise UnusableCheckpoint(
                f"has the tensor {shown(tensor.name)}, whose sides overlap in its storage",
                _CONTIGUOUS,
            )
        reach += (side - 1) * stride
