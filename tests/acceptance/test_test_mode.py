"""S9 from outside: webhooks of a server in test mode, its command line, and what reaches a real mail server."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.integration.runners.smtp_kit import Letter, Mailhouse, mailhouse
from tests.support.server import MillraceProcess, create_workflow, until

TIMES = 20


@pytest.fixture(scope="module")
def house() -> Iterator[Mailhouse]:
    with mailhouse() as house:
        yield house


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, house: Mailhouse) -> Iterator[MillraceProcess]:
    settings = {
        "MILLRACE_APPLY_EXAMPLES": "false",
        "MILLRACE_SMTP_HOST": "127.0.0.1",
        "MILLRACE_SMTP_PORT": str(house.port),
        "MILLRACE_SMTP_TLS": "none",
        "MILLRACE_SMTP_FROM": "millrace@example.com",
        "TESTING_MODE": "true",
        "TESTING_EMAIL_RECIPIENT": "ops@example.com",
    }
    with MillraceProcess(tmp_path_factory.mktemp("test-mode") / "home", **settings) as server:
        yield server


def hooked(name: str) -> dict[str, Any]:
    trigger = {"id": "hook", "type": "webhook", "config": {"path": name, "dedupe": {"header": "X-Delivery"}}}
    return {"name": name, "triggers": [trigger], "tasks": [{"id": "a", "type": "noop"}]}


def delivered(server: MillraceProcess, name: str, delivery: str) -> list[httpx2.Response]:
    """The same webhook many times at once."""

    def send(_: int) -> httpx2.Response:
        return httpx2.post(
            f"{server.url}/webhook/{name}",
            json={"order": "<b>7</b>"},
            headers={"X-Delivery": delivery},
            timeout=60,
            trust_env=False,
        )

    with ThreadPoolExecutor(max_workers=TIMES) as pool:
        return list(pool.map(send, range(TIMES)))


def letters_of(house: Mailhouse, workflow: str) -> list[Letter]:
    subject = f"[Millrace test mode] hook of {workflow} fired"
    return [letter for letter in house.letters if letter.message["Subject"] == subject]


def test_a_webhook_that_is_delivered_many_times_is_told_once_and_starts_nothing(
    server: MillraceProcess, house: Mailhouse
) -> None:
    with server.client() as client:
        create_workflow(client, hooked("orders"))
        answers = delivered(server, "orders", "1")
        assert {answer.status_code for answer in answers} == {200}, answers[0].text
        until(lambda: letters_of(house, "orders"))
        delivered(server, "orders", "2")
        until(lambda: len(letters_of(house, "orders")) == 2)
        assert client.get("/workflows/orders/runs").json()["items"] == []
        decisions = Counter(item["decision"] for item in client.get("/workflows/orders/firings").json()["items"])
    assert decisions == {"skipped": 2}
    letter = letters_of(house, "orders")[0]
    assert letter.recipients == ["ops@example.com"]
    plain, page = (part.get_content() for part in letter.message.iter_parts())
    assert '"order": "<b>7</b>"' in plain
    assert "<b>7</b>" not in page
    assert "&lt;b&gt;7&lt;/b&gt;" in page


def test_with_both_a_delivery_is_told_once_and_starts_one_run(server: MillraceProcess, house: Mailhouse) -> None:
    with server.client() as client:
        create_workflow(client, hooked("both"))
        said = server.millrace("workflows", "test-mode", "both", "--on", "--no-skip-execution").stdout
        assert said.strip().endswith("ops@example.com gets a mail, runs start")
        answers = delivered(server, "both", "1")
        assert Counter(answer.status_code for answer in answers) == {202: 1, 200: TIMES - 1}
        until(lambda: letters_of(house, "both"))
        assert len(client.get("/workflows/both/runs").json()["items"]) == 1
        delivered(server, "both", "2")
        until(lambda: len(letters_of(house, "both")) == 2)


def test_the_command_line_refuses_what_says_two_things(server: MillraceProcess) -> None:
    with server.client() as client:
        create_workflow(client, hooked("words"))
    for options in (["--clear", "--on"], ["--recipient", "me@example.com"]):
        refused = server.millrace("workflows", "test-mode", "words", *options, check=False)
        assert (refused.returncode, refused.stdout) == (2, "")
    assert "on, as the settings say" in server.millrace("workflows", "test-mode", "words").stdout
    assert "off, as was said" in server.millrace("workflows", "test-mode", "words", "--off").stdout
    assert "on, as the settings say" in server.millrace("workflows", "test-mode", "words", "--clear").stdout
