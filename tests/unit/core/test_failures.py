"""Failures as users see them."""

import pytest

from millrace.core.errors import Conflict, Fault, InvalidRequest, MillraceError, Unreadable
from millrace.core.failures import FAILURE_MEANINGS, Failure, FailureKind
from millrace.core.values import JsonObject


def test_every_kind_of_failure_is_documented() -> None:
    assert set(FAILURE_MEANINGS) == set(FailureKind)


def test_a_failure_is_shown_as_kind_and_message() -> None:
    failure = Failure(FailureKind.TIMEOUT, "took longer than 5 s")
    assert failure.to_json() == failure.summary() == {"kind": "timeout", "message": "took longer than 5 s"}


def test_details_are_shown_in_full_but_kept_out_of_the_summary() -> None:
    failure = Failure(FailureKind.ERROR, "status 500", {"status": 500})
    assert failure.to_json() == {"kind": "error", "message": "status 500", "details": {"status": 500}}
    assert failure.summary() == {"kind": "error", "message": "status 500"}


def test_an_error_keeps_its_code_message_and_faults() -> None:
    fault = Fault("tasks[0].id", "missing", "there is no id", "give it one")
    error = Unreadable("unreadable", "this is not YAML", faults=[fault])
    assert isinstance(error, InvalidRequest)
    assert (error.code, error.message, str(error), error.faults) == (
        "unreadable",
        "this is not YAML",
        str(error),
        (fault,),
    )
    assert isinstance(Conflict("stale_version", "changed meanwhile"), MillraceError)


@pytest.mark.parametrize("details", [None, {}, {"status": 500}])
def test_a_failure_is_read_back_as_it_was_written(details: JsonObject | None) -> None:
    failure = Failure(FailureKind.TIMEOUT, "too slow", details)
    assert Failure.from_json(failure.to_json()) == failure
