"""The batch of the null engine: places, slots, loads and steps, without a clock."""

from benchmarks.null_batch import NullBatch, NullGeneration


class Batch:
    """A batch of two slots and three places; a load takes 10 s and a step 1 s."""

    def __init__(self) -> None:
        self.batch = NullBatch(slots=2, places=3, load_seconds=10, token_seconds=1)
        self.ended: list[str | None] = []

    def add(self, adapter: str | None, tokens: int = 1) -> NullGeneration:
        def on_token(last: bool) -> None:
            if last:
                self.ended.append(adapter)

        generation = NullGeneration(adapter, tokens, on_token)
        self.batch.add(generation)
        return generation

    def step(self) -> float | None:
        seconds = self.batch.begin_step()
        self.batch.end_step()
        return seconds


def test_an_empty_batch_takes_no_step() -> None:
    batch = Batch()
    assert batch.step() is None
    assert batch.batch.steps == 0


def test_a_load_makes_the_step_longer_and_a_resident_adapter_does_not() -> None:
    batch = Batch()
    batch.add("a")
    batch.add(None)
    assert batch.step() == 11
    batch.add("a")
    assert batch.step() == 1
    assert batch.batch.loads == 1


def test_no_step_has_more_adapters_than_slots_and_those_behind_may_enter() -> None:
    batch = Batch()
    for name in ("a", "b", "c"):
        batch.add(name)
    batch.add("a")
    assert batch.step() == 21
    assert batch.ended == ["a", "b", "a"]
    assert batch.step() == 11, "c takes the slot of the least recently used one"
    batch.add("a")
    assert batch.step() == 1, "a was used after b"


def test_requests_wait_for_a_place() -> None:
    batch = Batch()
    for _ in range(4):
        batch.add(None, tokens=2)
    steps = [batch.step() for _ in range(5)]
    assert steps == [1, 1, 1, 1, None]
    assert len(batch.ended) == 4


def test_an_aborted_request_frees_its_place() -> None:
    batch = Batch()
    running = [batch.add(None, tokens=100) for _ in range(3)]
    waits = batch.add("a")
    batch.step()
    batch.batch.abort(running[0])
    batch.batch.abort(waits)
    batch.add("b")
    batch.step()
    assert batch.ended == ["b"]
