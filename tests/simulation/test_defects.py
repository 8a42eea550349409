"""A simulation that finds nothing proves nothing: each defect that is planted here must be found within some seeds.

A defect is a statement of the store without the words that make it safe, or what was mended once (`mended`).
"""

import pytest

from millrace.storage import claims, statements
from millrace.storage.sqlite import SqliteStore
from tests.simulation import mended
from tests.simulation.simulating import simulate
from tests.simulation.world import Found

PATIENCE = 160
"""Seeds within which a defect must be found; most take a handful. Without it they find nothing (`test_simulation`)."""


def statement(patch: pytest.MonkeyPatch, name: str, words: str, instead: str) -> None:
    """The store forgets `words` of a statement."""
    whole = getattr(statements, name)
    assert words in whole, "the statement has changed: plant the defect elsewhere"
    patch.setattr(statements, name, whole.replace(words, instead))


def writes_whatever_the_revision(patch: pytest.MonkeyPatch) -> None:
    for name in ("ADVANCE_RUN", "UPDATE_RUN"):
        statement(patch, name, "and revision = ?", "and ? >= 0")


def folds_facts_twice(patch: pytest.MonkeyPatch) -> None:
    statement(patch, "IN_INBOX", "select 1 from inbox where id = ?", "select ?")


def counts_records_wrong(patch: pytest.MonkeyPatch) -> None:
    statement(patch, "NEXT_SEQ", "last_seq = last_seq + 1", "last_seq = last_seq + 2")


def takes_leases_for_over(patch: pytest.MonkeyPatch) -> None:
    lose = """
    update incarnations set lost_at = now_us()
    where heartbeat_at < now_us() - 1000000 and lost_at is null and retired_at is null returning id"""

    async def reap(store: SqliteStore, as_of: object = None) -> list[str]:
        return await store._database.submit(lambda raw: [row[0] for row in raw.execute(lose).fetchall()])

    patch.setattr(SqliteStore, "reap", reap)


def takes_every_claim_for_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims.Room, "take", lambda *_: True)


def admits_without_counting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements, "OCCUPIED", "select 0 where ?1 is not null")


def leaves_no_fact_of_a_withdrawal(patch: pytest.MonkeyPatch) -> None:
    columns = ", ".join(statements.NEW_INBOX)
    patch.setattr(statements, "INSERT_INBOX", f"insert into inbox ({columns}) select ?, ?, ?, ?, ? where 0")


DEFECTS = {
    "a run is written whatever its revision": (writes_whatever_the_revision, 0),
    "a fact is folded by every engine that has read it": (folds_facts_twice, 148),
    "the reaper takes leases for over that are not": (takes_leases_for_over, 0),
    "a claim counts its records wrong": (counts_records_wrong, 0),
    "limits of tasks are not counted": (takes_every_claim_for_free, 0),
    "limits of runs are not counted": (admits_without_counting, 0),
    "a withdrawal leaves no fact": (leaves_no_fact_of_a_withdrawal, 0),
}
"""How each is planted, and from which seed on it is looked for, which saves those that pass it by."""


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, first = DEFECTS[defect]
    plant(monkeypatch)
    with pytest.raises(Found):
        _simulate_many(first)


@pytest.mark.parametrize("defect", mended.DEFECTS)
def test_a_defect_that_was_mended_would_be_found_again(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, first = mended.DEFECTS[defect]
    plant(monkeypatch)
    with pytest.raises(Found):
        _simulate_many(first)


def _simulate_many(first: int) -> None:
    for seed in range(first, first + PATIENCE):
        simulate(str(seed))
