"""Copying the elements of a tensor out of its storage, range by range, whatever their order there.

A range of a tensor is cut into boxes (hyperrectangles of its dimensions), and a box is cut into pieces whose
elements are close together in the storage. A piece is read at once and copied with slices of memoryviews that
have a step, which is C code: the loop in Python is over all sides but the longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from ingest.pytorch.tensors import item_span

#: Bytes of the storage that a piece is read from at most.
PIECE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a piece: its elements, and how far two neighbours are apart, counted in elements."""

    count: int
    source: int
    """In the storage; 0 if all of them are the same element."""
    target: int
    """In the tensor."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Elements that are read together; offsets are in bytes."""

    source: int
    """Of the first element, from the start of the storage."""
    length: int
    """Of the storage, from the first element to the end of the last."""
    target: int
    """Of the first element, from the start of the tensor."""
    sides: tuple[Axis, ...]
    """Empty if source and target have the same bytes."""

    def copy(self, source: memoryview, target: memoryview, item: int) -> None:
        """Copy the elements; both views begin at the first element, which has `item` bytes."""
        if not self.sides:
            target[: self.length] = source[: self.length]
            return
        elements = _of_items(source[: self.length], item)
        places = _of_items(target[: item_span(*_layout(self.sides)) * item], item)
        *outer, longest = sorted(self.sides, key=lambda side: side.count)
        for index in product(*(range(side.count) for side in outer)):
            first = sum(at * side.source for at, side in zip(index, outer, strict=True))
            place = sum(at * side.target for at, side in zip(index, outer, strict=True))
            into = places[place : place + (longest.count - 1) * longest.target + 1 : longest.target]
            if longest.source:
                into[:] = elements[first : first + (longest.count - 1) * longest.source + 1 : longest.source]
            else:
                one = elements[first : first + 1].tobytes()
                into[:] = _of_items(memoryview(one * longest.count), item)


def _of_items(view: memoryview, item: int) -> memoryview[int]:
    return view.cast("I") if item == 4 else view.cast("H")


def pieces(
    shape: tuple[int, ...], strides: tuple[int, ...], item: int, start: int, end: int
) -> Iterator[Piece]:
    """Yield the pieces of the elements `start` … `end` of a tensor with elements of `item` bytes.

    `strides` are in elements. Offsets count from the tensor's first element.
    """
    sides = _joined(shape, strides)
    if len(sides) == 1 and sides[0].source == 1:
        # The usual case: in order.
        step = PIECE_BYTES // item
        for at in range(start, end, step):
            yield Piece(at * item, (min(end, at + step) - at) * item, at * item, ())
        return
    for source, target, box in _boxes(sides, start, end):
        yield from _cut(source, target, box, item)


def _joined(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[Axis]:
    """Return the sides, without those of one element, and with neighbours joined that are one run."""
    sides: list[Axis] = []
    target = 1
    for count, stride in zip(reversed(shape), reversed(strides), strict=True):
        if count == 1:
            continue
        last = sides[-1] if sides else None
        if last is not None and stride == last.source * last.count:
            sides[-1] = Axis(last.count * count, last.source, last.target)
        else:
            sides.append(Axis(count, stride, target))
        target *= count
    return list(reversed(sides)) or [Axis(1, 1, 1)]


def _boxes(
    sides: list[Axis], start: int, end: int, source: int = 0, target: int = 0
) -> Iterator[tuple[int, int, tuple[Axis, ...]]]:
    """Cut the range into boxes: a ragged beginning, whole rows, a ragged end, each in itself the same way.

    Yields the first element in the storage and in the tensor, and the sides.
    """
    outer, inner = sides[0], sides[1:]
    rows, last = -(-start // outer.target), end // outer.target
    if not inner:
        if start < end:
            yield source + start * outer.source, target + start, (_part(outer, end - start),)
        return
    if rows > last:
        # Within one row.
        row = start // outer.target
        yield from _boxes(
            inner, start - row * outer.target, end - row * outer.target,
            source + row * outer.source, target + row * outer.target,
        )  # fmt: skip
        return
    if start < rows * outer.target:
        row = rows - 1
        yield from _boxes(
            inner, start - row * outer.target, outer.target,
            source + row * outer.source, target + row * outer.target,
        )  # fmt: skip
    if rows < last:
        box = (_part(outer, last - rows), *inner)
        yield source + rows * outer.source, target + rows * outer.target, box
    if last * outer.target < end:
        yield from _boxes(
            inner, 0, end - last * outer.target, source + last * outer.source, target + last * outer.target
        )


def _cut(source: int, target: int, box: tuple[Axis, ...], item: int) -> Iterator[Piece]:
    """Halve the side that reaches furthest in the storage until a piece can be read at once."""
    length = item_span(*_layout(box, of_source=True)) * item
    if length <= PIECE_BYTES:
        yield Piece(source * item, length, target * item, box)
        return
    furthest = max(range(len(box)), key=lambda at: (box[at].count - 1) * box[at].source)
    side = box[furthest]
    half = side.count // 2
    for first, count in ((0, half), (half, side.count - half)):
        part = (*box[:furthest], _part(side, count), *box[furthest + 1 :])
        yield from _cut(source + first * side.source, target + first * side.target, part, item)


def _part(side: Axis, count: int) -> Axis:
    return Axis(count, side.source, side.target)


def _layout(sides: tuple[Axis, ...], *, of_source: bool = False) -> tuple[tuple[int, ...], tuple[int, ...]]:
    counts = tuple(side.count for side in sides)
    return counts, tuple(side.source if of_source else side.target for side in sides)
