"""The pure pieces: where the server is found, what is sent again, how events are read, what errors say."""

import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from millrace.cli.connection import CommandError, Connection
from millrace.client import (
    Client,
    Conflict,
    InvalidRequest,
    MillraceError,
    NoApiKey,
    RequestRefused,
    RunFailed,
    Tagged,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
    errors,
)
from millrace.client.location import locate
from millrace.client.requests import given, if_match_header, path_of
from millrace.client.retrying import Patience, Retrying
from millrace.client.server_events import EventParser, ServerEvent
from millrace.client.values import json_bytes

KEY = "mr_a-very-secret-key"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("URL", "API_KEY", "HOST", "PORT"):
        monkeypatch.delenv(f"MILLRACE_{name}", raising=False)
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_given_wins_over_the_environment_and_that_over_notes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9001"}))
    (home / "api-key").write_text("noted\n")
    assert (locate(None, None).url, locate(None, None).api_key) == ("http://127.0.0.1:9001", "noted")
    monkeypatch.setenv("MILLRACE_URL", "http://elsewhere:9002/")
    monkeypatch.setenv("MILLRACE_API_KEY", "from-environment")
    assert (locate(None, None).url, locate(None, None).api_key) == ("http://elsewhere:9002", "from-environment")
    assert (locate("https://given", "given").url, locate("https://given", "given").api_key) == (
        "https://given",
        "given",
    )


@pytest.mark.parametrize("note", ["", "[]", "{}", "null", '{"url"'])
def test_a_note_that_says_nothing_leaves_host_and_port(home: Path, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    (home / "server.json").write_text(note)
    assert locate(None, KEY).url == "http://127.0.0.1:8000"
    monkeypatch.setenv("MILLRACE_HOST", "10.0.0.1")
    monkeypatch.setenv("MILLRACE_PORT", "9")
    assert locate(None, KEY).url == "http://10.0.0.1:9"


def test_without_a_key_it_says_where_one_could_be(home: Path) -> None:
    with pytest.raises(NoApiKey, match="MILLRACE_API_KEY"):
        Client()


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_can_be_no_header_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as refused:
        locate(None, key)
    assert key not in str(refused.value)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="http://"):
        locate("127.0.0.1:8000", KEY)


def test_neither_key_nor_password_is_ever_shown() -> None:
    def no_connection(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"refused {request.headers['X-API-Key']}")

    transport = httpx2.MockTransport(no_connection)
    with Client("http://user:password@server:1", KEY, retries=0, transport=transport) as client:
        shown = [repr(client), str(client), client.url, repr(locate("http://server", KEY))]
        with pytest.raises(Unreachable) as failed:
            client.system.health()
    shown += [str(failed.value), repr(failed.value), repr(vars(failed.value)), repr(failed.value.__context__)]
    assert not any(KEY in text or "password" in text for text in shown), shown
    assert failed.value.__cause__ is failed.value.__context__ is None


def refused(status: int, **headers: str) -> RequestRefused:
    return errors.refusal(status, {"code": "c", "detail": "d"}, httpx2.Headers(headers))


@pytest.mark.parametrize(
    ("failure", "repeatable", "again"),
    [
        (Unreachable("", sent=False), False, True),
        (Unreachable("", sent=True), False, False),
        (Unreachable("", sent=True), True, True),
        (refused(503), True, True),
        (refused(503), False, False),
        (refused(429), False, True),
        (refused(500), True, False),
        (refused(404), True, False),
        (refused(409), True, False),
        (UnexpectedAnswer(""), True, False),
    ],
)
def test_only_what_can_do_nothing_twice_is_sent_again(failure: MillraceError, repeatable: bool, again: bool) -> None:
    assert (Retrying().pause(1, failure, repeatable=repeatable) is not None) == again


def test_the_pauses_grow_and_end() -> None:
    retrying = Retrying(retries=3, first=1.0, longest=3.0)
    pauses = [retrying.pause(failures, refused(503), repeatable=True) for failures in (1, 2, 3, 4)]
    assert pauses[3] is None
    for pause, longest in zip(pauses, (1.0, 2.0, 3.0), strict=False):
        assert pause is not None
        assert longest / 2 <= pause <= longest


def test_the_server_says_when_to_come_again() -> None:
    assert Retrying().pause(1, refused(503, **{"Retry-After": "7"}), repeatable=True) == 7
    assert Retrying().pause(1, refused(429, **{"Retry-After": "3600"}), repeatable=True) is None
    assert refused(503, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}).retry_after is None


def test_events_are_read_line_by_line() -> None:
    parser = EventParser()
    lines = ["retry: 1000", "id: 4", ": open", "", "event: record", "id: 5", 'data: {"a":', "data: 1}", ""]
    events = [event for line in lines if (event := parser.feed(line)) is not None]
    assert events == [ServerEvent("message", "4", None), ServerEvent("record", "5", {"a": 1})]


def test_an_error_tells_all_that_the_problem_does() -> None:
    fault = {"path": "tasks[1]", "code": "x", "message": "no such type", "remedy": "write http"}
    problem = {"code": "invalid_definition", "detail": "the definition is not valid", "faults": [fault]}
    error = errors.refusal(422, problem, httpx2.Headers({"X-Request-ID": "r-1"}))
    assert isinstance(error, InvalidRequest)
    assert (error.status, error.code, error.faults, error.request_id) == (422, "invalid_definition", [fault], "r-1")
    assert str(error) == "the definition is not valid (422 invalid_definition)\n  tasks[1]: no such type: write http"


@pytest.mark.parametrize("body", [None, [], "text", {}, {"faults": "none"}])
def test_a_refusal_without_a_problem_document_is_one(body: object) -> None:
    error = errors.refusal(409, body, {})
    assert isinstance(error, Conflict)
    assert (error.code, error.faults) == ("http_error", [])


def test_each_status_has_its_class() -> None:
    assert type(refused(429)) is TooManyRequests
    assert type(refused(503)) is Unavailable
    assert type(refused(418)) is RequestRefused


def test_a_run_that_failed_says_why() -> None:
    run = {
        "id": "r",
        "workflow": {"id": "w", "name": "greet", "version": 1},
        "status": "failed",
        "error": {"kind": "task", "message": "task a failed"},
    }
    assert str(RunFailed(run)) == "run r of greet failed: task: task a failed"  # type: ignore[arg-type]


def test_arguments_become_what_the_api_takes() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert json.loads(json_bytes(given({"a": None, "b": moment, "c": {"d": moment}}))) == {
        "b": "2026-01-01T00:00:00+00:00",
        "c": {"d": "2026-01-01T00:00:00+00:00"},
    }
    with pytest.raises(ValueError, match="time zone"):
        given({"b": moment.replace(tzinfo=None)})
    assert if_match_header(3) == {"If-Match": "3"}
    assert if_match_header(Tagged({}, '"3-a"')) == {"If-Match": '"3-a"'}


def test_a_path_leads_nowhere_else() -> None:
    assert path_of("runs", "a/../b c") == "/runs/a%2F..%2Fb%20c"
    for wrong in ("", ".", ".."):
        with pytest.raises(ValueError, match="cannot be a name"):
            path_of("runs", wrong)


def test_an_answer_that_is_no_json_is_not_from_millrace() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>"))
    with Client("http://server", KEY, transport=transport) as client, pytest.raises(UnexpectedAnswer):
        client.system.health()


def test_patience_ends_after_a_minute_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("millrace.client.retrying.time.monotonic", lambda: now)
    patience = Patience()
    patience.away(refused(503))
    now += 59
    patience.away(Unreachable("", sent=True))
    patience.there()
    now += 59
    patience.away(refused(503))
    now += 61
    with pytest.raises(Unavailable):
        patience.away(refused(503))


def test_patience_is_not_for_what_does_not_pass() -> None:
    with pytest.raises(RequestRefused):
        Patience().away(refused(404))


def test_waiting_ends_in_time_although_the_server_is_away() -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with (
        Client("http://server", KEY, retries=0, transport=httpx2.MockTransport(away)) as client,
        pytest.raises(WaitTimeout),
    ):
        client.runs.wait("r", timeout=0.01)


@pytest.mark.parametrize("url", ["https://elsewhere", "http://127.0.0.1.elsewhere", "http://127.0.0.1@elsewhere"])
def test_the_key_of_this_machine_is_sent_to_no_other(home: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    (home / "api-key").write_text(KEY)
    for here in ("http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1"):
        assert locate(here, None).api_key == KEY
        Connection(here)
    with pytest.raises(NoApiKey, match="MILLRACE_API_KEY"):
        locate(url, None)
    with pytest.raises(CommandError, match="MILLRACE_API_KEY"):
        Connection(url)
    monkeypatch.setenv("MILLRACE_URL", url)
    with pytest.raises(NoApiKey):
        locate(None, None)
    with pytest.raises(CommandError):
        Connection()


def file_server(content: bytes, meanwhile: Path | None = None) -> httpx2.MockTransport:
    def answer(_: httpx2.Request) -> httpx2.Response:
        if meanwhile is not None:
            meanwhile.write_bytes(b"another")
        return httpx2.Response(200, content=content, headers={"ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    return httpx2.MockTransport(answer)


def test_a_backup_is_for_its_owner_and_its_name_may_be_long(home: Path) -> None:
    with Client("http://server", KEY, transport=file_server(b"all")) as client:
        place = client.database.backup(home / ("\u5099" * 82 + ".txt"))
    assert place.read_bytes() == b"all"
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_file_that_appeared_meanwhile_is_kept(home: Path) -> None:
    target = home / "file"
    with (
        Client("http://server", KEY, transport=file_server(b"all", target)) as client,
        pytest.raises(FileExistsError),
    ):
        client.database.backup(target)
    assert [(file.name, file.read_bytes()) for file in home.iterdir()] == [("file", b"another")]


def test_only_the_size_of_what_is_read_is_told(home: Path) -> None:
    seen: list[tuple[str | None, bytes]] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.headers.get("Content-Length"), request.read()))
        return httpx2.Response(201, json={})

    content = b"a" * 1000
    with gzip.open(home / "packed", "wb") as file:
        file.write(content)
    with Client("http://server", KEY, transport=httpx2.MockTransport(note)) as client:
        with gzip.open(home / "packed") as packed:
            client.artifacts.upload(packed, name="a")  # type: ignore[arg-type]
        client.artifacts.upload(io.BytesIO(content), name="a")
    assert seen == [(None, content), ("1000", content)]


def test_an_event_that_is_no_json_is_not_from_millrace() -> None:
    parser = EventParser()
    parser.feed("data: {")
    with pytest.raises(UnexpectedAnswer):
        parser.feed("")


def test_a_deep_check_is_waited_for_and_not_repeated() -> None:
    limits: list[float] = []

    def lost(request: httpx2.Request) -> httpx2.Response:
        limits.append(request.extensions["timeout"]["read"])
        raise httpx2.ReadError("lost")

    with Client("http://server", KEY, transport=httpx2.MockTransport(lost)) as client, pytest.raises(Unreachable):
        client.system.doctor(deep=True)
    assert len(limits) == 1
    assert limits[0] >= 3600
