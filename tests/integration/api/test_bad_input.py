"""Every case of `tests/corpus` against a real server: the answer it must get, nothing written, the server unharmed.

What bad input was found to do wrong, and was mended for, is a case there as well.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.ground import prepare
from tests.corpus.reading import Case, all_cases
from tests.corpus.sending import Answer, Server
from tests.support.server import MillraceProcess

LARGEST_ANSWER = 128 * 1024
"""200 faults with their remedies; what was sent was up to 2 MB."""
LONGEST_TEXT = 1001

NEVER_SHOWN = ("hunter2", "not to be seen", "Traceback", 'File "', "sqlite3.", "sqlalchemy", "pydantic", "self.")
"""Secrets that cases send or that are there, and the inside of the program."""

BEATING = {
    "incarnations": {"heartbeat_at", "lease_until"},  # a worker's heartbeat goes on whatever is sent
    "followers": {"position", "moved_at"},  # the ends of runs are followed, a second later
    "audit_log": {"seq", "hash", "key_id"},  # what was changed before is sealed, within a second
    "api_keys": {"last_used_at"},  # the key was used: by the good request after each case, too
}
"""The only columns that may change meanwhile."""

CASES = all_cases()


@dataclass(frozen=True)
class Target:
    server: Server
    home: Path

    def state(self) -> dict[str, str]:
        """A checksum of each table, and of which files of artifacts there are."""
        with closing(sqlite3.connect(f"file:{self.home / 'millrace.db'}?mode=ro", uri=True)) as connection:
            names = [
                str(name)
                for (name,) in connection.execute(
                    "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name"
                )
            ]
            found = {name: checksum(connection, name) for name in names}
        files = sorted(str(path.relative_to(self.home)) for path in (self.home / "artifacts").rglob("*"))
        return {**found, "files": str(files)}


def checksum(connection: sqlite3.Connection, table: str) -> str:
    rows = connection.execute(f'select * from "{table}"')  # noqa: S608 - a name from the database itself
    kept = [place for place, column in enumerate(rows.description) if column[0] not in BEATING.get(table, frozenset())]
    lines = sorted(repr([row[place] for place in kept]) for row in rows)
    return f"{len(lines)} rows, {hashlib.sha256(''.join(lines).encode(errors='replace')).hexdigest()}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    home = tmp_path_factory.mktemp("corpus") / "home"
    with MillraceProcess(home, MILLRACE_APPLY_EXAMPLES="false") as process:
        server = prepare(process.port, process.api_key)
        yield Target(server, home)
        assert server.ask("GET", "/api/v1/doctor").json()["problems"] == []
        assert process.stop() == 0
        assert "Traceback" not in process.log.read_text(), "bad input is nothing that a log should call a defect"


def test_the_corpus_is_large_and_its_cases_are_told_apart() -> None:
    assert len(CASES) >= 400
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    requests = Counter((case.method, case.target, case.body, case.wire, str(case.headers)) for case in CASES)
    assert [request for request, count in requests.items() if count > 1] == [], "two cases send the same"
    assert all(400 <= case.status < 500 for case in CASES)
    assert {case.kind for case in CASES} == {
        "agents", "audit", "canaries", "changes", "command_limits", "control_tasks", "credentials", "decisions",
        "definitions", "envelopes", "expressions", "huge_definitions", "identity", "kept_things", "linked_steps",
        "node_graphs", "queries", "schedules", "starts", "task_list", "test_runs", "transport", "unreadable",
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_clearly_and_changes_nothing(target: Target, case: Case) -> None:
    before = target.state()
    answer = target.server.send(case)
    document = problem_in(answer, case)
    explains(document, case)
    shows_little(answer, document)
    assert target.state() == before
    assert target.server.ask("GET", "/health/ready").json() == {"status": "ready"}
    assert target.server.ask("GET", "/api/v1/workflows/target").json()["version"] == 1


def problem_in(answer: Answer, case: Case) -> dict[str, Any]:
    assert answer.status == case.status, answer.body[:2000]
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document.keys() == {"type", "title", "status", "code", "detail", "faults", "request_id"}
    assert (document["status"], document["code"]) == (case.status, case.code), document
    assert document["detail"]
    return document


def explains(document: dict[str, Any], case: Case) -> None:
    """Where, what is wrong, and what would be right."""
    faults = document["faults"]
    for fault in faults:
        assert fault.keys() == {"path", "code", "message", "remedy"}
        assert fault["code"]
        assert fault["message"]
        assert fault["remedy"], f"no remedy for {fault}"
    if case.status == 422:
        assert faults, "a request with faults, and none is told"
    said = document["detail"]
    if case.at is not None:
        there = [fault for fault in faults if fault["path"] == case.at]
        assert there, f"no fault at {case.at!r}, but at {[fault['path'] for fault in faults][:5]}"
        said = " ".join(f"{fault['message']}; {fault['remedy']}" for fault in there)
    for words in case.says:
        assert words in said


def shows_little(answer: Answer, document: dict[str, Any]) -> None:
    """Of what was sent no more than its beginning; of the program nothing."""
    assert len(answer.body) <= LARGEST_ANSWER
    texts = [document["detail"], *(text for fault in document["faults"] for text in fault.values())]
    assert max(map(len, texts)) <= LONGEST_TEXT
    shown = answer.body.decode()
    assert [word for word in NEVER_SHOWN if word in shown] == []
