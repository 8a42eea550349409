"""What deletes asks first: on a terminal for a yes, elsewhere for `--yes`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess
from tests.support.terminal import on_a_terminal

READER = {
    "name": "reader",
    "tasks": [{"id": "a", "type": "http", "config": {"url": "https://x.example/{{ secrets.needed }}"}}],
}


@dataclass(frozen=True)
class Thing:
    """What a command deletes: what the question says, and where the API shows it as long as it is there."""

    command: tuple[str, ...]
    question: str
    path: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("consent") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        yield running


@pytest.fixture
def things(server: MillraceProcess) -> list[Thing]:
    with server.client() as client:
        for name in ("one", "two"):
            client.post("/workflows", json={"name": name, "tasks": [{"id": "a", "type": "noop"}]})
        client.put("/secrets/needed", json={"value": "a secret value"})
        client.put("/connections/orders", json={"type": "http", "config": {"url": "https://api.example.com"}})
        client.post("/workflows", json=READER)
        hook = client.post("/webhooks", json={"workflow_id": "reader", "url_path": "orders"}).json()
        sent = client.post("/artifacts?name=a.txt", content=b"a", headers={"Content-Type": "text/plain"}).json()
    return [
        Thing(("delete", "one", "two"), "the workflows 'one', 'two' with all versions", "/workflows/one"),
        Thing(("secrets", "delete", "needed"), "the secret 'needed', which 'reader' will miss", "/secrets/needed"),
        Thing(("connections", "delete", "orders"), "the connection 'orders'", "/connections/orders"),
        Thing(("webhooks", "delete", hook["id"]), "the webhook /webhook/orders of reader", f"/webhooks/{hook['id']}"),
        Thing(("artifacts", "delete", sent["id"]), "the file 'a.txt' of 1 B", f"/artifacts/{sent['id']}"),
    ]


def is_there(server: MillraceProcess, thing: Thing) -> bool:
    with server.client() as client:
        return client.get(thing.path).status_code == 200


def test_on_a_terminal_what_will_go_is_named_and_only_yes_is_consent(
    server: MillraceProcess, things: list[Thing]
) -> None:
    for thing in things:
        status, drawn = on_a_terminal(server, *thing.command, typed="n\n")
        assert (status, f"Delete {thing.question}? [y/N]" in drawn) == (1, True), (thing, drawn)
        assert is_there(server, thing), thing
        status, drawn = on_a_terminal(server, *thing.command, typed="y\n")
        assert (status, "deleted" in drawn, is_there(server, thing)) == (0, True, False), (thing, drawn)


def test_without_a_terminal_it_wants_yes_and_says_what_would_go(server: MillraceProcess, things: list[Thing]) -> None:
    for thing in things:
        refused = server.millrace(*thing.command, check=False)
        assert refused.returncode == 2, thing
        assert refused.stderr == f"error: this would delete {thing.question}; say --yes to do it\n"
        assert is_there(server, thing), thing
        assert "deleted" in server.millrace(*thing.command, "-y").stdout
        assert not is_there(server, thing), thing


def test_a_round_of_retention_says_how_much_would_go(server: MillraceProcess) -> None:
    refused = server.millrace("retention", "run", check=False)
    told = "error: this would delete 0 runs, and payloads and logs of 0 more; say --yes to do it, or --dry-run to see"
    assert (refused.returncode, refused.stderr.startswith(told)) == (2, True), refused.stderr
    status, drawn = on_a_terminal(server, "retention", "run", typed="y\n")
    assert (status, "Delete 0 runs, and payloads and logs of 0 more? [y/N]" in drawn) == (0, True), drawn


def test_a_workflow_that_is_not_there_is_told_and_the_others_go(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "here.json"
    place.write_text(json.dumps({"name": "here", "tasks": [{"id": "a", "type": "noop"}]}))
    server.millrace("apply", "-f", str(place))
    status, drawn = on_a_terminal(server, "delete", "here", "nobody", typed="y\n")
    assert (status, "Delete the workflow 'here' with all versions?" in drawn) == (2, True), drawn
    assert "nobody" in drawn.partition("[y/N]")[2]
    assert "here" not in server.millrace("workflows").stdout.split()
