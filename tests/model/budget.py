"""How much the property tests try: bounded in the usual run, more by hand with `MILLRACE_TEST_EXAMPLES=20000`.

What Hypothesis finds is not derandomised: every run looks elsewhere, and a failure prints the `@reproduce_failure` line
that brings it back.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("MILLRACE_TEST_EXAMPLES", "250"))

TIME_LIMIT = max(120, EXAMPLES)
"""Seconds a test may take: some twenty times what the examples need, so that a failure can also be made small."""

BUDGET = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
