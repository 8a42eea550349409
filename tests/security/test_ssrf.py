"""No task, no agent, no connection and no test of one reaches what is not public: a listener sees that nobody comes.

It listens on all addresses of this machine, so that any way to write one of them would arrive. What it must not see is
asked for by every way that takes an address; that it does see what a setting allows shows that it would see the rest.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import create, definition, start
from tests.support.whole import Whole, whole
from tests.unit.net.raw_server import answer_of

LOOPBACK = [
    *("127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "127.0.0.1.", "127.0.0.2", "127.255.255.254"),  # noqa: S104
    *(
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "127.0x1",
        "00000000177.1",
    ),
    *("[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:1::1]"),
    *("[2001:0:7f00:1::f7f7:f7f7]", "[2001:0:808:808::80ff:fffe]", "[::1%25lo]", "[::1%lo]", "[fe80::1%25lo]"),
    *("①②⑦.0.0.1", "127。0。0。1", "１２７．０．０．１", "①②⑦.①", "localhost", "LOCALHOST.", "localhost.localdomain"),  # noqa: RUF001
    *("ip6-localhost", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "127.0.0.1%00.example.com", "ok@127.0.0.1", "ok:ok@127.1", "1.1.1.1@127.0.0.1"),
    *("1.1.1.1%2f@127.0.0.1", "127.0.0.1#@1.1.1.1", "127.0.0.1%20", "\t127.0.0.1"),
]
ELSEWHERE = [
    *(
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
    ),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255"),
    *("[fe80::1]", "[fc00::1]", "[ff02::1]", "[2001:db8::1]", "[64:ff9b::10.0.0.1]", "[2002:a00:1::]", "[100::1]"),
]


ARRIVED = "somebody-arrived-here"


@dataclass
class Listener:
    """What comes in at any address of this machine is counted, and answered as it is told."""

    port: int = 0
    accepted: list[str] = field(default_factory=list)
    """The address that each connection went to."""
    hangs_up: bool = False
    """For those who wait for the server to speak first."""
    answer: bytes = field(default_factory=lambda: answer_of(ARRIVED.encode()))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(writer.get_extra_info("sockname")[0].removeprefix("::ffff:"))
        try:
            if not self.hangs_up:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    made = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    listener.port = made.getsockname()[1]
    async with await asyncio.start_server(listener.serve, sock=made):
        yield listener


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as running:
        yield running


@pytest.fixture
async def millrace(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "home") as running:
        yield running


class Names:
    """The name service of the test: what each name has, one answer after the other, the last one again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[tuple[str, ...]]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self)

    async def __call__(self, host: Any, port: Any, **_: Any) -> list[tuple[Any, ...]]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        given = self.answers.get(name)
        if given is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = given.pop(0) if len(given) > 1 else given[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]


# --- each way that takes an address -----------------------------------------------------------------------------------


def tasks_to(host: str, port: int) -> Iterator[dict[str, Any]]:
    url = f"http://{host}:{port}/latest/meta-data"
    yield {"type": "http", "config": {"url": url}}
    yield {"type": "notify", "config": {"url": url, "text": "x"}}
    yield {"type": "database", "config": {"connection_string": f"postgresql://u:p@{host}:{port}/x", "sql": "select 1"}}
    yield {"type": "database", "config": {"connection_string": f"mysql://u:p@{host}:{port}/x", "sql": "select 1"}}


@pytest.mark.parametrize("kind", range(4), ids=["http", "notify", "postgresql", "mysql"])
async def test_cve_2026_42449_no_task_reaches_what_is_not_public(
    millrace: Whole, listener: Listener, kind: int
) -> None:
    hosts = [*LOOPBACK, *ELSEWHERE] if kind == 0 else [*LOOPBACK[::3], *ELSEWHERE[::3]]
    ran = 0
    for number, host in enumerate(hosts):
        task = list(tasks_to(host, listener.port))[kind]
        response = await millrace.api.post("/api/v1/workflows", json=definition(f"w{number}", {"id": "a", **task}))
        if response.status_code == 422:
            continue
        assert response.status_code == 201, response.text
        ran += 1
        run = await start(millrace.api, response.json()["id"], wait=True)
        assert run["status"] == "failed", (host, run)
        assert ARRIVED not in str(await millrace.task(run, "a")), host
        assert listener.accepted == [], host
    assert ran > len(hosts) / 2


@pytest.mark.parametrize("kind", range(4), ids=["http", "notify", "postgresql", "mysql"])
async def test_the_listener_sees_who_comes(tmp_path: Path, listener: Listener, kind: int) -> None:
    """What the tests around this one do not see, they would see: the same ways arrive where a setting lets them."""
    async with whole(tmp_path / "home", http_allowed_targets=("127.0.0.1",)) as millrace:
        listener.hangs_up = kind > 1
        await millrace.finished({"id": "a", **list(tasks_to("127.0.0.1", listener.port))[kind]})
        came = len(listener.accepted)
        assert came >= 1
        listener.hangs_up = kind > 0
        type_, config = list(connections_to("127.0.0.1", listener.port))[kind if kind != 1 else 3]
        await millrace.api.put("/api/v1/connections/c", json={"type": type_, "config": config})
        await millrace.api.post("/api/v1/connections/c/test")
        assert len(listener.accepted) > came


async def test_cve_2026_42449_an_address_that_is_computed_is_judged_like_one_that_is_written(
    millrace: Whole, listener: Listener
) -> None:
    task = {"id": "a", "type": "http", "config": {"url": "{{ input.url }}"}}
    await create(millrace.api, definition("w", task))
    for host in LOOPBACK:
        url = f"http://{host}:{listener.port}/"
        run = await start(millrace.api, "w", input={"url": url}, wait=True)
        assert run["status"] == "failed", host
    assert listener.accepted == []


async def test_cve_2026_42449_no_agent_is_where_nothing_public_is(millrace: Whole, listener: Listener) -> None:
    """Neither when it is registered, nor by a look at its health, nor by a call."""
    for number, host in enumerate([*LOOPBACK, *ELSEWHERE]):
        body = {"name": f"a{number}", "url": f"http://{host}:{listener.port}/", "timeout_ms": 2000,
                "retry_config": {"max_retries": 0}}  # fmt: skip
        made = await millrace.api.post("/api/v1/agents", json=body)
        assert made.status_code in (201, 422), (host, made.text)
        if made.status_code == 201:
            health = await millrace.api.post(f"/api/v1/agents/a{number}/health")
            assert health.json().get("status") != "healthy", (host, health.text)
            task = {"id": "a", "type": "agent", "config": {"agent": f"a{number}"}}
            run = await start(
                millrace.api, (await create(millrace.api, definition(f"w{number}", task)))["id"], wait=True
            )
            assert run["status"] == "failed", host
        assert listener.accepted == [], host


async def test_cve_2026_42449_an_agent_whose_name_leads_elsewhere_later_is_not_followed(
    millrace: Whole, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was public when it was registered; that is looked at anew by each call and each look at its health."""
    names = Names(monkeypatch, agent_example=[("1.1.1.1",), ("127.0.0.1",)])
    body = {"name": "moving", "url": f"http://agent.example:{listener.port}/", "retry_config": {"max_retries": 0}}
    made = await millrace.api.post("/api/v1/agents", json=body)
    assert made.status_code == 201, made.text
    assert names.asked == ["agent.example"]
    health = (await millrace.api.post("/api/v1/agents/moving/health")).json()
    assert "not a public address" in str(health)
    run = await millrace.finished({"id": "a", "type": "agent", "config": {"agent": "moving"}})
    assert run["status"] == "failed"
    assert len(names.asked) >= 3
    assert listener.accepted == []


def connections_to(host: str, port: int) -> Iterator[tuple[str, dict[str, Any]]]:
    bare = host.strip("[]")
    yield "http", {"url": f"http://{host}:{port}/"}
    yield "postgresql", {"host": bare, "port": port, "database": "x", "user": "u", "password": "a password"}
    yield "mysql", {"host": bare, "port": port, "database": "x", "user": "u", "password": "a password"}
    yield "smtp", {"host": bare, "port": port, "tls": "none", "from": "a@example.com"}


@pytest.mark.parametrize("kind", range(4), ids=["http", "postgresql", "mysql", "smtp"])
async def test_windmill_object_storage_test_ssrf_no_test_of_a_connection_is_a_probe(
    millrace: Whole, listener: Listener, kind: int
) -> None:
    """Windmill's tests of connections went anywhere: ours go where tasks go, and say nothing of what is there."""
    tested = 0
    for number, host in enumerate([*LOOPBACK, *ELSEWHERE]):
        type_, config = list(connections_to(host, listener.port))[kind]
        path = f"/api/v1/connections/c{number}"
        made = await millrace.api.put(path, json={"type": type_, "config": config})
        assert made.status_code in (201, 422), (host, made.text)
        if made.status_code == 201:
            tested += 1
            shown = (await millrace.api.post(f"{path}/test")).json()
            assert shown.get("ok") is not True, (host, shown)
            assert ARRIVED not in str(shown)
        assert listener.accepted == [], host
    assert tested > 10


# --- redirections -----------------------------------------------------------------------------------------------------

INNER = "127.0.0.1"
OUTER = "127.0.0.9"
"""Allowed; also an address of this machine, as all of its network are."""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_cve_2026_42449_no_redirection_leads_where_no_address_does(
    tmp_path: Path, listener: Listener, status: int
) -> None:
    port = listener.port
    targets = [
        *(
            f"http://{host}:{port}/"
            for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0")
        ),
        *(
            f"//{INNER}:{port}/",
            f"http:{INNER}:{port}",
            f"https://{INNER}:{port}/",
            f"http://{OUTER}:{port}@{INNER}:{port}/",
        ),
        *(f"/\\{INNER}:{port}/", f"http://localhost:{port}/", "file:///etc/passwd", f"gopher://{INNER}:{port}/_x"),
        *(
            f"ftp://{INNER}:{port}/",
            f"dict://{INNER}:{port}/",
            "javascript:1",
            f"data:text/plain,{ARRIVED}",
            "http://",
            "://",
        ),
    ]
    async with whole(tmp_path / "home", http_allowed_targets=(OUTER,)) as millrace:
        config = {"url": f"http://{OUTER}:{port}/", "expected_status": [200]}
        await create(millrace.api, definition("w", {"id": "a", "type": "http", "config": config}))
        for target in targets:
            listener.answer = answer_of(b"", f"Location: {target}", status=f"{status} Moved")
            run = await start(millrace.api, "w", wait=True)
            assert run["status"] == "failed", target
            assert "root:" not in str(await millrace.task(run, "a"))
    assert set(listener.accepted) == {OUTER}


# --- names ------------------------------------------------------------------------------------------------------------


async def fetched(millrace: Whole, url: str) -> dict[str, Any]:
    existing = await millrace.api.get("/api/v1/workflows/fetching")
    if existing.status_code == 404:
        config = {"url": "{{ input.url }}", "headers": {"Connection": "close"}}
        await create(millrace.api, definition("fetching", {"id": "a", "type": "http", "config": config}))
    return await start(millrace.api, "fetching", input={"url": url}, wait=True)


async def test_cve_2026_42449_a_name_is_judged_by_all_that_it_has(
    millrace: Whole, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when one of several addresses is private, or when it is another name for this machine."""
    names = Names(
        monkeypatch,
        inside_example=[("127.0.0.1",)],
        mixed_example=[("1.1.1.1", "127.0.0.1")],
        sixth_example=[("2606:4700:4700::1111", "::1")],
        mapped_example=[("::ffff:127.0.0.1",)],
        nat_example=[("64:ff9b::7f00:1",)],
        metadata_example=[("169.254.169.254",)],
        none_example=[()],
    )
    for name in [*names.answers, "INSIDE.example.", "unknown.example"]:
        run = await fetched(millrace, f"http://{name}:{listener.port}/")
        assert run["status"] == "failed", name
    assert listener.accepted == []
    assert "mixed.example" in names.asked


async def test_cve_2026_42449_an_answer_that_changes_between_look_and_connection_gains_nothing(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: there is one look, its addresses are judged, and the connection goes to these very ones."""
    async with whole(tmp_path / "home", http_allowed_targets=(OUTER,)) as millrace:
        names = Names(monkeypatch, changing_example=[(OUTER,), (INNER,)])
        assert (await fetched(millrace, f"http://changing.example:{listener.port}/"))["status"] == "completed"
        assert names.asked == ["changing.example"]
        assert listener.accepted == [OUTER]
        for _ in range(3):
            assert (await fetched(millrace, f"http://changing.example:{listener.port}/"))["status"] == "failed"
        assert listener.accepted == [OUTER]


# --- what is allowed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "reached", "refused"),
    [
        (
            ("127.0.0.9",),
            ["127.0.0.9", "[::ffff:127.0.0.9]", "2130706441"],
            ["127.0.0.1", "127.0.0.8", "[::1]", "localhost"],
        ),
        (("127.0.0.8/30",), ["127.0.0.8", "127.0.0.11"], ["127.0.0.7", "127.0.0.12", "localhost"]),
        (("::1",), ["[::1]"], ["127.0.0.1", "[::]"]),
        (
            ("inside.example",),
            ["inside.example", "INSIDE.example."],
            ["127.0.0.1", "x.inside.example", "other.example"],
        ),
    ],
    ids=["address", "network", "ipv6", "name"],
)
async def test_what_the_setting_allows_is_reached_and_nothing_beside_it(
    tmp_path: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    allowed: tuple[str, ...],
    reached: list[str],
    refused: list[str],
) -> None:
    async with whole(tmp_path / "home", http_allowed_targets=allowed) as millrace:
        answers: dict[str, list[tuple[str, ...]]] = {
            name: [("127.0.0.1",)] for name in ("localhost", "inside_example", "x_inside_example", "other_example")
        }
        Names(monkeypatch, **answers)
        for host in reached:
            assert (await fetched(millrace, f"http://{host}:{listener.port}/"))["status"] == "completed", host
        came = len(listener.accepted)
        assert came >= 1
        for host in refused:
            assert (await fetched(millrace, f"http://{host}:{listener.port}/"))["status"] == "failed", host
        assert len(listener.accepted) == came
