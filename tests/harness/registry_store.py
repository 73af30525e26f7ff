"""The gateway's view of an adapter store, held in memory."""

import asyncio
from collections import Counter

from container.gateway.adapters.registry import Listed, StoreError

#: When every object was last changed, in seconds since 1970.
LAST_MODIFIED = 1_700_000_000


class StubStore:
    """Objects by key, which can be read unless the store is `down`."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked: Counter[str] = Counter()
        """Number of reads of each key or prefix."""
        self.down = False

    async def read(self, key: str) -> bytes | None:
        """Return an object; yields to other tasks as a real store does."""
        self.asked[key] += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreError("connection refused")
        return self.objects.get(key)

    async def size(self, key: str) -> int | None:
        """Return the bytes of an object."""
        body = await self.read(key)
        return None if body is None else len(body)

    async def write(self, key: str, body: bytes) -> None:
        """Store an object."""
        await self.read(key)
        self.objects[key] = body

    async def create(self, key: str, body: bytes) -> bool:
        """Store an object if there is none."""
        await self.read(key)
        return self.objects.setdefault(key, body) is body

    async def list(self, prefix: str) -> list[Listed]:
        """Return the keys that begin with the prefix."""
        await self.read(prefix)
        return [Listed(key, LAST_MODIFIED) for key in sorted(self.objects) if key.startswith(prefix)]
