"""Buckets of requests: what fits at once, what fits later, what several processes make of it, what is kept."""

from millrace.auth.limits.buckets import Buckets
from millrace.core.rates import Rate
from millrace.core.values import SECOND

MINUTE = 60 * SECOND


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def many(buckets: Buckets, subject: str, tries: int) -> int:
    """How many of so many requests fit."""
    return sum(buckets.take(subject) == 0.0 for _ in range(tries))


def test_as_many_as_the_rate_says_come_at_once_and_then_one_by_one() -> None:
    time = Time()
    buckets = Buckets(Rate(300, MINUTE), time)
    assert many(buckets, "a", 1_000) == 300
    assert 0 < buckets.take("a") <= 0.2
    assert many(buckets, "b", 1) == 1
    time.now += 0.2
    assert many(buckets, "a", 10) == 1
    time.now += 6
    assert many(buckets, "a", 100) == 30
    time.now += 10_000
    assert many(buckets, "a", 1_000) == 300


def test_after_the_time_that_is_told_one_fits() -> None:
    time = Time()
    for number, period in ((1, SECOND), (3, SECOND), (7, MINUTE), (999, 3_600 * SECOND)):
        buckets = Buckets(Rate(number, period), time)
        assert many(buckets, "a", number + 5) == number
        time.now += buckets.take("a") + 1e-6
        assert many(buckets, "a", 5) == 1


def test_what_is_given_back_was_never_taken() -> None:
    buckets = Buckets(Rate(2, MINUTE), Time())
    assert many(buckets, "a", 5) == 2
    buckets.give_back("a")
    buckets.give_back("nobody")
    assert many(buckets, "a", 5) == 1


def test_memory_is_bounded_and_who_comes_again_is_not_forgotten() -> None:
    buckets = Buckets(Rate(5, MINUTE), Time(), most=100)
    assert many(buckets, "guesser", 9) == 5
    for number in range(1_000):
        buckets.take(f"passer-by {number}")
        assert buckets.take("guesser") > 0.0
        assert len(buckets) <= 200


def test_two_processes_together_let_no_more_pass_than_one() -> None:
    """The row that they share is played by a moment; each tells what it has counted, and learns how full it is."""
    time, empty_at, told = Time(), 0.0, 0
    processes = [Buckets(Rate(800, MINUTE), time) for _ in range(2)]
    for buckets in processes:
        buckets.share(1 / 8, lambda: None)
    passed = 0
    for _ in range(60):
        for buckets in processes:
            passed += many(buckets, "a", 20)
            for _, bucket, seconds in list(buckets.untold()):
                requests = bucket.untold
                empty_at = max(empty_at, time.now) + seconds
                told += requests
                buckets.learn(bucket, requests, empty_at - time.now)
    assert 800 <= passed <= 820 + 20
    assert told == passed


def test_who_stays_far_from_the_limit_is_nothing_to_tell() -> None:
    called: list[int] = []
    buckets = Buckets(Rate(800, MINUTE), Time())
    buckets.share(1 / 8, lambda: called.append(1))
    many(buckets, "a", 90)
    assert not list(buckets.untold())
    assert not called
    many(buckets, "a", 20)
    assert [bucket.untold for _, bucket, _ in buckets.untold()] == [110]
    assert called
