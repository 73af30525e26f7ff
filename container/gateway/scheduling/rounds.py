"""Items in the order of a number each: a heap whose items can be moved and removed."""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Rounds(Generic[Item]):
    """Items by number, equal ones in the order in which they got it. Each method takes O(log n)."""

    __slots__ = ("_entries", "_heap", "_moves")

    def __init__(self) -> None:
        """Hold no item."""
        # An entry is [number, position, item]; the item of one that is out of date is None.
        self._heap: list[list[Any]] = []
        self._entries: dict[Item, list[Any]] = {}
        self._moves = 0

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._entries)

    def __contains__(self, item: Item) -> bool:
        """Return whether the item is here."""
        return item in self._entries

    def put(self, item: Item, number: float) -> None:
        """Add an item, or move it to a new number."""
        entry = self._entries.get(item)
        if entry is not None:
            if entry[0] == number:
                return
            entry[2] = None
        self._moves += 1
        entry = self._entries[item] = [number, self._moves, item]
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + 16:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def discard(self, item: Item) -> None:
        """Remove an item, if it is here."""
        entry = self._entries.pop(item, None)
        if entry is not None:
            entry[2] = None

    def first(self) -> Item | None:
        """Return the item with the lowest number, None if there is none."""
        heap = self._heap
        while heap:
            item: Item | None = heap[0][2]
            if item is not None:
                return item
            heapq.heappop(heap)
        return None
