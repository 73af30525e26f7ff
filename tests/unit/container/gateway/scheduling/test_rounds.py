"""The heap whose items move: compared with a sorted list."""

import hypothesis.strategies as st
from hypothesis import given, settings

from container.gateway.scheduling.rounds import Rounds

MOVES = st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.integers(0, 9)), max_size=200)


@given(moves=MOVES)
@settings(max_examples=60)
def test_the_first_item_has_the_lowest_number_and_came_first_among_equals(
    moves: list[tuple[str, int | None]],
) -> None:
    rounds: Rounds[str] = Rounds()
    numbers: dict[str, int] = {}
    for item, number in moves:
        if number is None:
            rounds.discard(item)
            numbers.pop(item, None)
        else:
            rounds.put(item, number)
            if numbers.get(item) != number:
                numbers.pop(item, None)
                numbers[item] = number
        assert rounds.first() == min(numbers, key=lambda each: numbers[each], default=None)
        assert len(rounds) == len(numbers)
        assert len(rounds._heap) <= 2 * len(numbers) + 16 + 1
