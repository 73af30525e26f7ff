"""The batch of an engine with many adapters, in time alone: places, slots, loads and decode steps.

It follows vLLM 0.32.0's scheduler (`vllm/v1/core/sched/scheduler.py`). A step gives one token to each running
request. Before a step waiting requests enter in order of arrival while a place is free; one whose adapter
would be one more than the slots hold is skipped, and those behind it may enter. An adapter that is in no slot
takes the place of the least recently used one that no running request needs, and its load makes the step
longer for all. Prefill takes no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(eq=False)
class Generation:
    """One request in the batch; `adapter` is None for the base model."""

    adapter: str | None
    left: int
    """Tokens that are not generated yet."""
    on_token: Callable[[bool], None]
    """Called at the end of a step, with True for the last token."""


class NullBatch:
    """Requests that wait, requests that run, and the adapters in the slots. It has no clock."""

    def __init__(self, *, slots: int, places: int, load_seconds: float, token_seconds: float) -> None:
        """Hold `slots` adapters at once and run `places` requests; a load and a step take these seconds."""
        self._max_slots = slots
        self._places = places
        self._load_seconds = load_seconds
        self._token_seconds = token_seconds
        self._waiting: list[Generation] = []
        self._running: list[Generation] = []
        # Least recently used first.
        self._slots: dict[str, None] = {}
        self._added = asyncio.Event()
        #: Adapters that entered a slot, and steps, since the start.
        self.loads = self.steps = 0

    def add(self, generation: Generation) -> None:
        """Queue a request."""
        self._waiting.append(generation)
        self._added.set()

    def abort(self, generation: Generation) -> None:
        """Remove a request whose client has disconnected; does nothing for one that has ended."""
        for where in (self._waiting, self._running):
            if generation in where:
                where.remove(generation)

    def begin_step(self) -> float | None:
        """Let waiting requests in; return the seconds of the step, None if no request runs."""
        loads = 0
        active = {each.adapter for each in self._running if each.adapter is not None}
        left: list[Generation] = []
        for each in self._waiting:
            name = each.adapter
            full = name is not None and name not in active and len(active) >= self._max_slots
            if len(self._running) >= self._places or full:
                left.append(each)
                continue
            self._running.append(each)
            if name is not None:
                active.add(name)
                loads += self._touch(name, active)
        self._waiting = left
        if not self._running:
            return None
        self.loads += loads
        self.steps += 1
        return self._token_seconds + loads * self._load_seconds

    def end_step(self) -> None:
        """Give each running request its token."""
        for each in tuple(self._running):
            each.left -= 1
            each.on_token(each.left <= 0)
        self._running = [each for each in self._running if each.left > 0]

    async def run(self) -> None:
        """Run steps in real time until cancelled."""
        while True:
            self._added.clear()
            seconds = self.begin_step()
            if seconds is None:
                await self._added.wait()
            else:
                await asyncio.sleep(seconds)
                self.end_step()

    def _touch(self, name: str, active: set[str]) -> bool:
        """Make the adapter the most recently used one; return whether it had to be loaded."""
        loaded = name in self._slots
        if loaded:
            del self._slots[name]
        elif len(self._slots) >= self._max_slots:
            del self._slots[next(each for each in self._slots if each not in active)]
        self._slots[name] = None
        return not loaded
