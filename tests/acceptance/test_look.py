"""The page at `/` in a real browser: signing in, live lists and logs, the keyboard, text that tries to be markup."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.browser import Browser, Tab, browser
from tests.support.server import MillraceProcess, create_workflow, until

pytestmark = pytest.mark.service("chromium")

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
PLAIN = {"name": "plain", "tasks": [{"id": "say", "type": "shell", "config": {"command": "echo first line"}}]}
RUDE = {
    "name": f"rude {HOSTILE}",
    "description": HOSTILE,
    "tasks": [
        {"id": "say", "type": "shell",
         "config": {"command": 'echo "$TEXT"; echo "$TEXT" >&2; exit 3', "env": {"TEXT": "{{ input.text }}"}}},
        {"id": "after", "type": "noop", "depends_on": ["say"]},
    ],
}  # fmt: skip
GATE = {
    "name": "gate",
    "tasks": [
        {"id": "wait", "type": "shell",
         "config": {"command": 'echo waiting; while [ ! -e "$GATE" ]; do sleep 0.05; done; echo through',
                    "env": {"GATE": "{{ input.gate }}"}}},
    ],
}  # fmt: skip
ONE_BY_ONE = {**GATE, "name": "one by one", "concurrency": {"limit": 1}}
OFTEN = {
    "name": "often",
    "triggers": [{"id": "each_second", "type": "cron", "config": {"expression": "* * * * * *"}}],
    "tasks": [{"id": "a", "type": "noop"}],
}
SIGN_IN = "document.querySelector('#key')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("look") / "home") as process:
        with process.client() as client:
            for body in (PLAIN, RUDE, GATE, ONE_BY_ONE):
                create_workflow(client, body)
        yield process


@pytest.fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path / "profile") as started:
        yield started


async def signed_in(chromium: Browser, server: MillraceProcess, key: str | None = None) -> Tab:
    tab = await chromium.tab()
    await tab.open(f"{server.url}/")
    await tab.until(f"{SIGN_IN} && document.activeElement === {SIGN_IN}")
    await tab.type(key or server.api_key.strip())
    await tab.press("Enter", 13, "\r")
    return tab


def run_of(server: MillraceProcess, workflow: str, **body: object) -> str:
    with server.client() as client:
        response = client.post(f"/workflows/{workflow}/execute", json=body)
        assert response.status_code in (200, 202), response.text
        run_id: str = response.json()["id"]
        return run_id


async def test_the_key_is_asked_for_and_stays_in_the_tab(chromium: Browser, server: MillraceProcess) -> None:
    refused = await signed_in(chromium, server, "mr_wrong")
    await refused.sees("not valid")
    tab = await signed_in(chromium, server)
    await tab.sees("Runs")
    await tab.until("document.querySelector('#live').textContent === 'live'")
    key = json.dumps(server.api_key.strip())
    assert await tab.evaluate("location.search + location.hash") == ""
    assert await tab.evaluate("localStorage.length + document.cookie.length") == 0
    requested = await tab.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(requested) > 3
    assert not any(server.api_key.strip() in url for url in requested), "no key in an address"
    assert await tab.evaluate(f"Object.values(sessionStorage).includes({key})")
    await tab.evaluate("document.querySelector('#leave').click()")
    await tab.until(SIGN_IN)
    assert await tab.evaluate("sessionStorage.length") == 0
    assert tab.complaints == []


async def test_a_new_run_appears_and_its_log_is_live(
    chromium: Browser, server: MillraceProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    tab = await signed_in(chromium, server)
    await tab.until("document.querySelector('#live').textContent === 'live'")
    run_id = await asyncio.to_thread(run_of, server, "gate", input={"gate": str(gate)})
    entry = f"document.querySelector('a[href=\"#/runs/{run_id}\"]')"
    await tab.until(entry)
    await tab.evaluate(f"{entry}.focus()")
    await tab.press("Enter", 13, "\r")
    await tab.until("[...document.querySelectorAll('.line .text')].map((one) => one.textContent).join() === 'waiting'")
    await tab.until("document.querySelector('h1').nextSibling.textContent === 'running'")
    gate.touch()
    await tab.until("document.querySelector('h1').nextSibling.textContent === 'completed'")
    await tab.until("document.querySelectorAll('.line').length === 2")
    await tab.until("document.querySelector('#live').textContent === 'finished'")
    assert await tab.evaluate("document.querySelectorAll('.span.completed').length") == 1
    assert tab.complaints == []


async def test_what_users_wrote_is_shown_as_text(chromium: Browser, server: MillraceProcess) -> None:
    run_id = await asyncio.to_thread(run_of, server, "rude%20%3Cimg%20src=x%20onerror=%22document.title='taken'%22%3E",
                                     input={"text": HOSTILE}, correlation_id=HOSTILE, wait=True)  # fmt: skip
    tab = await signed_in(chromium, server)
    await tab.sees(HOSTILE)
    for route in ("/workflows", f"/runs/{run_id}"):
        await tab.evaluate(f"location.hash = {json.dumps(route)}")
        await tab.sees(HOSTILE)
    await tab.until("document.querySelectorAll('.line').length === 2")
    await tab.evaluate("document.querySelector('.tasks .name').focus()")
    await tab.press("Enter", 13, "\r")
    await tab.sees("attempt 1 failed")
    await tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert await tab.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
    assert "taken" not in str(await tab.evaluate("document.title.replace(/rude .*/, '')"))
    await tab.sees("exit code 3")
    await tab.sees("skipped")
    assert tab.complaints == []


async def test_it_says_who_started_a_run_what_it_waits_for_and_why_it_was_cancelled(
    chromium: Browser, server: MillraceProcess, tmp_path: Path
) -> None:
    gate = {"gate": str(tmp_path / "gate")}
    first, second, third = [await asyncio.to_thread(run_of, server, "one%20by%20one", input=gate) for _ in range(3)]
    tab = await signed_in(chromium, server)
    await tab.sees("Administrator (manual)")
    await tab.evaluate(f"location.hash = '/runs/{third}'")
    await tab.sees("Waits: 1 of at most 1 runs are under way, and 1 wait before it")
    await tab.sees("Administrator (manual)")
    with server.client() as client:
        client.post(f"/runs/{second}/cancel", json={"reason": "not needed"})
        await tab.sees("Waits: 1 of at most 1 runs are under way, and 0 wait before it")
        client.post(f"/runs/{third}/cancel", json={"reason": HOSTILE})
        await tab.sees(f"Cancelled by Administrator: {HOSTILE}")
        client.post(f"/runs/{first}/cancel", json={})
    await tab.evaluate(f"location.hash = '/runs/{first}'")
    await tab.until(
        "[...document.querySelectorAll('.notice')].some((p) => p.innerText === 'Cancelled by Administrator')"
    )
    assert tab.complaints == []


async def test_it_names_the_trigger_that_started_a_run(chromium: Browser, server: MillraceProcess) -> None:
    with server.client() as client:
        workflow = create_workflow(client, OFTEN)
        await asyncio.to_thread(until, lambda: client.get("/runs", params={"workflow": "often"}).json()["items"])
        client.post(f"/workflows/{workflow['id']}/disable")
        run = client.get("/runs", params={"workflow": "often"}).json()["items"][0]
    tab = await signed_in(chromium, server)
    await tab.sees("often")
    await tab.evaluate(f"location.hash = '/runs/{run['id']}'")
    await tab.sees("each_second (cron)")
    assert tab.complaints == []


async def test_lists_are_narrowed_and_errors_are_words(chromium: Browser, server: MillraceProcess) -> None:
    await asyncio.to_thread(run_of, server, "plain", wait=True)
    tab = await signed_in(chromium, server)
    await tab.sees("plain")
    await tab.evaluate(
        "[...document.querySelectorAll('.chips button')].find((b) => b.textContent === 'Completed').click()"
    )
    await tab.until("location.hash.includes('completed') && document.querySelectorAll('tbody tr').length > 0")
    shown = "[...document.querySelectorAll('tbody .status')].map((one) => one.textContent)"
    await tab.until(f"{shown}.length > 0 && {shown}.every((one) => one === 'completed')")
    await tab.evaluate("location.hash = '/runs/nobody'")
    await tab.sees("there is no run with the id")


MANY_FAILED = """
insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, trigger_type, root_run_id,
                  created_at, finished_at)
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 30000)
select printf('01800000-0000-7000-8000-%012x', n), v.workflow_id, v.id, 'failed', 'main', 'failed', 1, 0, 'manual',
       printf('01800000-0000-7000-8000-%012x', n), 1, 2
from numbers join workflow_versions v join workflows w on w.id = v.workflow_id where w.name = 'crowded'"""
"""More than one search looks at: a page is 2,000 runs here, and a search ten pages behind the first."""


async def test_a_search_that_finds_nothing_stops_and_offers_to_go_on(
    chromium: Browser, server: MillraceProcess
) -> None:
    with server.client() as client:
        workflow = create_workflow(client, {**PLAIN, "name": "crowded"})
    await asyncio.to_thread(server.stop)
    with closing(sqlite3.connect(server.home / "millrace.db")) as connection, connection:
        assert connection.execute(MANY_FAILED).rowcount == 30_000
    await asyncio.to_thread(server.start)
    tab = await signed_in(chromium, server)
    await tab.sees("Runs")
    pages = "performance.getEntriesByType('resource').filter((one) => one.name.includes('cursor=')).length"
    await tab.evaluate(f"location.hash = '/runs?status=completed&workflow={workflow['id']}'")
    await tab.sees("None among the runs that were looked at so far.")
    further = "[...document.querySelectorAll('button.more')].find((one) => one.textContent === 'Search further')"
    await tab.until(further)
    assert await tab.evaluate(pages) == 10
    await tab.evaluate(f"{further}.click()")
    await tab.sees("No runs here yet.")
    assert await tab.evaluate(pages) < 20
    assert await tab.evaluate("document.querySelector('button.more').hidden")


async def test_it_fits_a_phone(chromium: Browser, server: MillraceProcess) -> None:
    run_id = await asyncio.to_thread(run_of, server, "plain", wait=True)
    tab = await signed_in(chromium, server)
    await tab.look(width=360, height=740)
    for route, text in (("/runs", "plain"), (f"/runs/{run_id}", "first line"), ("/workflows", "version")):
        await tab.evaluate(f"location.hash = {json.dumps(route)}")
        await tab.sees(text)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 360, route
