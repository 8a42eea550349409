"""How long a task waits before it is tried again, and when it is not."""

import pytest

from millrace.core.failures import RETRIED_BY_DEFAULT, Failure, FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.retry import LONGEST_CRASH_DELAY, MAX_CRASHES, delay_after_crash, delay_after_failure
from millrace.core.values import SECOND

ERROR = Failure(FailureKind.ERROR, "exit code 1")
MANY = 1_000_000


def delay(policy: RetryPlan, failures: int, failure: Failure = ERROR, seed: str = "run/task") -> int | None:
    return delay_after_failure(policy, failures, failure, seed=seed)


def test_the_first_attempt_counts_so_three_attempts_are_two_retries() -> None:
    policy = RetryPlan(max_attempts=3)
    assert [delay(policy, failures) for failures in (1, 2, 3)] == [SECOND, 2 * SECOND, None]


def test_without_a_policy_there_is_no_retry() -> None:
    assert delay(RetryPlan(), 1) is None


def test_the_delay_grows_by_the_multiplier_up_to_the_limit() -> None:
    policy = RetryPlan(max_attempts=MANY, delay=SECOND, multiplier=3, max_delay=20 * SECOND)
    assert [delay(policy, failures) for failures in (1, 2, 3, 4, 5)] == [
        SECOND,
        3 * SECOND,
        9 * SECOND,
        20 * SECOND,
        20 * SECOND,
    ]


@pytest.mark.parametrize("multiplier", [1.0, 1.0000001, 2.0, 1e10, 1e300])
def test_no_number_of_failures_makes_the_delay_overflow(multiplier: float) -> None:
    policy = RetryPlan(max_attempts=MANY, delay=SECOND, multiplier=multiplier, max_delay=60 * SECOND)
    for failures in (1, 2, 65, 66, 1025, MANY - 1):
        waited = delay(policy, failures)
        assert waited is not None
        assert SECOND <= waited <= 60 * SECOND


def test_a_multiplier_below_one_makes_the_delay_shrink_to_nothing() -> None:
    policy = RetryPlan(max_attempts=MANY, delay=SECOND, multiplier=0.5)
    assert [delay(policy, failures) for failures in (1, 2, MANY - 1)] == [SECOND, SECOND // 2, 0]


def test_jitter_moves_the_delay_within_its_share_in_both_directions() -> None:
    policy = RetryPlan(max_attempts=2, delay=10 * SECOND, jitter=0.2)
    delays = [delay(policy, 1, seed=f"run-{number}/task") for number in range(500)]
    assert all(waited is not None and 8 * SECOND <= waited <= 12 * SECOND for waited in delays)
    known = [waited for waited in delays if waited is not None]
    assert min(known) < 8.5 * SECOND
    assert max(known) > 11.5 * SECOND


def test_full_jitter_never_makes_a_delay_negative() -> None:
    policy = RetryPlan(max_attempts=2, delay=SECOND, jitter=1.0)
    assert all((delay(policy, 1, seed=str(number)) or 0) >= 0 for number in range(500))


def test_the_same_run_and_failure_are_given_the_same_jitter_and_the_next_failure_another() -> None:
    policy = RetryPlan(max_attempts=9, delay=10 * SECOND, multiplier=1, jitter=0.5)
    assert delay(policy, 1) == delay(policy, 1)
    assert delay(policy, 1) != delay(policy, 2)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_policy_without_kinds_repeats_errors_and_timeouts_only(kind: FailureKind) -> None:
    repeated = delay(RetryPlan(max_attempts=2), 1, Failure(kind, "why")) is not None
    assert repeated is (kind in (FailureKind.ERROR, FailureKind.TIMEOUT))
    assert repeated is (kind in RETRIED_BY_DEFAULT)


def test_a_policy_with_kinds_repeats_those_and_no_others() -> None:
    policy = RetryPlan(max_attempts=2, on=frozenset({FailureKind.INVALID_OUTPUT}))
    assert delay(policy, 1, Failure(FailureKind.INVALID_OUTPUT, "not JSON")) == SECOND
    assert delay(policy, 1) is None


def test_the_first_crash_is_repeated_at_once_the_next_after_a_second_doubling_to_thirty() -> None:
    delays = [delay_after_crash(RetryPlan(), crashes) for crashes in range(1, MAX_CRASHES)]
    assert delays == [0, *(SECOND * seconds for seconds in (1, 2, 4, 8, 16)), *[LONGEST_CRASH_DELAY] * 3]


def test_the_tenth_crash_is_the_last() -> None:
    assert delay_after_crash(RetryPlan(max_attempts=MANY), 10) is None


def test_a_task_that_must_not_start_twice_is_not_started_after_a_crash() -> None:
    assert delay_after_crash(RetryPlan(max_attempts=MANY, on_crash=False), 1) is None
