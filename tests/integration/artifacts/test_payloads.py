"""Inputs and outputs too large for their rows: nobody sees where they lie, and one that is lost is a clear failure."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from millrace.ports.objects import OWNER
from tests.support.api import create, definition, start
from tests.support.installation import Installation, installation
from tests.support.whole import whole

LARGE = {"lines": [{"number": number, "text": "zeile ä " * 10} for number in range(1500)]}
SIZE = len(json.dumps(LARGE, ensure_ascii=False, separators=(",", ":")).encode())


def echo(id_: str, value: Any) -> dict[str, Any]:
    return {"id": id_, "type": "echo", "config": {"value": value}}


async def finished(api: httpx2.AsyncClient, *tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
    fields = {"output": body.pop("output")} if "output" in body else {}
    declared = dict.fromkeys(body.get("variables", ()), "none yet")
    workflow = await create(api, {**definition("w", *tasks), "variables": declared, **fields})
    return await start(api, workflow["id"], wait=True, **body)


async def task(api: httpx2.AsyncClient, run: dict[str, Any], path: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await api.get(f"/api/v1/runs/{run['id']}/tasks/{path}")).json()
    return shown


async def stored(millrace: Installation, table: str, column: str) -> list[str]:
    """The texts of a column."""
    query = text(f"select {column} from {table}")  # noqa: S608  names of this test
    return await millrace.database.read(lambda connection: list(connection.execute(query).scalars()))


def objects(millrace: Installation) -> list[Path]:
    return [path for path in millrace.objects.folder.rglob("*") if path.is_file() and path.name != OWNER]


async def test_large_values_are_seen_as_if_they_were_in_the_database(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    assert SIZE > 65_536
    run = await finished(
        api,
        echo("first", "{{ input.given }}"),
        echo("second", "{{ tasks.first.output.lines[1499].number }}"),
        {
            **echo("third", "{{ size(tasks.first.output.lines) }}"),
            "if": "{{ tasks.first.output.lines[3].number == 3 }}",
        },
        input={"given": LARGE},
        variables={"more": LARGE},
        output={"all": "{{ tasks.first.output }}"},
    )
    assert run["status"] == "completed", run["error"]
    assert run["input"] == {"given": LARGE}
    assert run["variables"]["more"] == LARGE
    assert run["output"] == {"all": LARGE}
    assert (await api.get(f"/api/v1/runs/{run['id']}")).json() == run
    first = await task(api, run, "first")
    assert first["output"] == LARGE
    assert first["input"] == {"value": LARGE}
    assert (await task(api, run, "second"))["output"] == 1499
    assert (await task(api, run, "third"))["output"] == 1500
    for table, columns in (("runs", ("input", "variables", "output")), ("task_runs", ("input", "output"))):
        for column in columns:
            assert any(value and value.startswith("@") for value in await stored(millrace, table, column)), column
            assert all(len(value or "") < 65_536 for value in await stored(millrace, table, column))
    assert len(objects(millrace)) == 5


async def test_lists_leave_large_values_out_and_say_so(api: httpx2.AsyncClient) -> None:
    run = await finished(api, echo("first", "{{ input.given }}"), input={"given": LARGE})
    (listed,) = (await api.get("/api/v1/runs")).json()["items"]
    assert (listed["input"], listed["output"], listed["omitted"]) == (None, None, ["input"])
    (shown,) = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    assert (shown["input"], shown["output"], shown["omitted"]) == (None, None, ["input", "output"])


async def test_small_values_stay_in_their_rows(api: httpx2.AsyncClient, millrace: Installation) -> None:
    run = await finished(api, echo("first", "x" * 60_000), input={"given": "@ no object, but text"})
    assert run["input"] == {"given": "@ no object, but text"}
    assert (await task(api, run, "first"))["output"] == "x" * 60_000
    assert objects(millrace) == []


async def test_a_value_that_begins_like_a_reference_is_a_value(api: httpx2.AsyncClient, millrace: Installation) -> None:
    said = "@runs/x/y/output 3 " + "0" * 64
    run = await finished(api, echo("first", said), echo("second", "{{ tasks.first.output }}"))
    assert (await task(api, run, "second"))["output"] == said
    assert (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"][0]["output"] == said


async def test_a_run_that_is_loaded_anew_has_its_large_values(tmp_path: Path, database_url: str | None) -> None:
    """The engine that goes on knows nothing but what is stored: it is another one."""
    hold = {
        "id": "hold",
        "type": "shell",
        "config": {"command": ["sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"], "working_dir": str(tmp_path)},
    }
    last = {
        "id": "last",
        "type": "shell",
        "config": {
            "command": ["printf", "%s", "{{ size(tasks.make.output.lines) }} {{ input.given.lines[7].number }}"]
        },
    }
    make = {"id": "make", "type": "transform", "config": {"output": "{{ input.given }}"}}
    home = tmp_path / "home"
    async with whole(home, database_url, stop_seconds=0) as first:
        workflow = await create(first.api, definition("w", make, hold, last))
        run = await start(first.api, workflow["id"], input={"given": LARGE})
        await first.until(run, "hold", "running")
    (tmp_path / "go").touch()
    async with whole(home, database_url) as second:
        ended = await second.until(run, "last", "completed")
        assert ended["output"]["stdout"] == "1500 7"
        again = (await second.api.post(f"/api/v1/runs/{run['id']}/rerun", json={"from_task": "last"})).json()
        assert (await second.until(again, "last", "completed"))["output"]["stdout"] == "1500 7"
        assert (await second.api.get(f"/api/v1/runs/{again['id']}")).json()["input"] == {"given": LARGE}


@pytest.mark.parametrize("damage", ["missing", "other", "shorter"])
async def test_a_lost_value_is_a_failure_that_says_so(tmp_path: Path, damage: str, database_url: str | None) -> None:
    make = {"id": "make", "type": "transform", "config": {"output": "{{ input.given }}"}}
    hold = {
        "id": "hold",
        "type": "shell",
        "config": {"command": "while [ ! -e go ]; do sleep 0.05; done", "working_dir": str(tmp_path)},
    }
    uses = {"id": "uses", "type": "transform", "config": {"output": "{{ tasks.make.output.lines[0].number }}"}}
    asks = {"id": "asks", "type": "noop", "depends_on": ["hold"], "if": "{{ size(input.given.lines) == 0 }}"}
    free = {"id": "free", "type": "noop", "depends_on": ["hold"]}
    home = tmp_path / "home"
    async with whole(home, database_url, stop_seconds=0) as first:
        workflow = await create(first.api, definition("w", make, hold, uses, asks, free))
        run = await start(first.api, workflow["id"], input={"given": LARGE})
        await first.until(run, "hold", "running")
    places = [path for path in (home / "artifacts" / "objects").rglob("*") if path.is_file()]
    assert len(places) >= 2
    for place in places:
        content = place.read_bytes()
        match damage:
            case "missing":
                place.unlink()
            case "other":
                place.write_bytes(content.replace(b'"number":0', b'"number":9', 1))
            case _:
                place.write_bytes(content[:-1])
    (tmp_path / "go").touch()
    async with whole(home, database_url) as second:
        for path in ("uses", "asks"):
            error = (await second.until(run, path, "failed"))["error"]
            assert error["kind"] == "expression"
            assert "cannot be read back" in error["message"]
        assert (await second.until(run, "free", "completed"))["status"] == "completed"
        response = await second.api.get(f"/api/v1/runs/{run['id']}/tasks/make")
        assert (response.status_code, response.json()["code"]) == (500, "payload_lost")
        listed = (await second.api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
        assert "output" in listed[0]["omitted"]


async def test_an_output_beyond_the_limit_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_MAX_OUTPUT_BYTES", "100000")
    async with installation(tmp_path / "small") as millrace, millrace.client() as api:
        run = await finished(api, echo("first", "{{ input.given }}"), input={"given": LARGE})
        error = (await task(api, run, "first"))["error"]
        assert error["kind"] == "invalid_output"
        assert "MILLRACE_MAX_OUTPUT_BYTES" in error["message"]


async def test_without_room_large_values_go_into_the_database(api: httpx2.AsyncClient, millrace: Installation) -> None:
    millrace.objects.folder.write_text("in the way")
    run = await finished(api, echo("first", "{{ input.given }}"), input={"given": LARGE})
    assert run["input"] == {"given": LARGE}
    assert (await task(api, run, "first"))["output"] == LARGE
