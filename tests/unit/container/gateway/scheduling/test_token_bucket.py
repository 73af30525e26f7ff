"""A limit on tokens per minute."""

import hypothesis.strategies as st
from hypothesis import given, settings

from container.gateway.scheduling.token_bucket import TokenBucket


def test_a_full_bucket_lets_a_minute_of_tokens_pass_and_then_those_of_its_rate() -> None:
    bucket = TokenBucket(600, now=0)
    assert bucket.wait(600, 0) == 0
    bucket.take(600)
    assert bucket.wait(10, 0) == 1
    assert bucket.wait(10, 1) == 0


def test_a_request_for_more_than_a_minute_passes_when_the_bucket_is_full() -> None:
    bucket = TokenBucket(60, now=0)
    assert bucket.wait(1000, 0) == 0
    bucket.take(1000)
    assert bucket.wait(1, 0) == 941
    assert bucket.wait(1000, 500) == 500


def test_tokens_that_were_not_used_are_given_back() -> None:
    bucket = TokenBucket(60, now=0)
    bucket.take(60)
    bucket.take(-50)
    assert bucket.wait(50, 0) == 0
    bucket.take(-50)
    assert bucket.wait(60, 0) == 0
    bucket.take(60)
    assert bucket.wait(1, 0) == 1, "it never holds more than a minute's tokens"


def test_a_new_limit_holds_from_now_on() -> None:
    bucket = TokenBucket(600, now=0)
    bucket.set_limit(60, 0)
    bucket.take(60)
    assert bucket.wait(1, 0) == 1
    bucket.set_limit(600, 0)
    assert bucket.wait(1, 0) == 0.1


@given(
    asked=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 100)), max_size=60), limit=st.integers(10, 200)
)
@settings(max_examples=60)
def test_no_minute_has_more_than_twice_the_limit(asked: list[tuple[float, int]], limit: int) -> None:
    """A full bucket and what fills it in a minute; a request for more than the limit counts as the limit."""
    bucket = TokenBucket(limit, now=0)
    now = 0.0
    passed: list[tuple[float, int]] = []
    for seconds, wanted in asked:
        now += seconds
        tokens = min(wanted, limit)
        if bucket.wait(tokens, now) == 0:
            bucket.take(tokens)
            passed.append((now, tokens))
    for at, _ in passed:
        assert sum(tokens for when, tokens in passed if at <= when < at + 60) <= 2 * limit + 1e-6
