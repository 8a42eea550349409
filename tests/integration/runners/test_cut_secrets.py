"""D6: text is cut in many places before it is masked; no cut leaves half a secret, wherever the secret stands."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from millrace.auth.masking import SecretMasker
from millrace.runners.streams import LONGEST_LINE, Stream
from tests.integration.runners.shell_kit import Log
from tests.support.whole import Whole, whole

SECRET = "ZEBRA-0123456789-ABCDEFGH-tail"
PARTS = [SECRET[at : at + 6] for at in range(len(SECRET) - 5)]


@pytest.fixture
async def millrace(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "home", http_allowed_targets=("localhost", "127.0.0.1")) as running:
        response = await running.api.put("/api/v1/secrets/striped", json={"value": SECRET})
        assert response.status_code in (200, 201), response.text
        yield running


def assert_nothing_of_it(shown: str) -> None:
    assert not [part for part in PARTS if part in shown], shown[-300:]


async def everything(millrace: Whole, run: dict[str, Any]) -> str:
    """All that is shown of a run."""
    paths = ("", "/tasks?limit=200", "/logs?limit=1000", "/events?limit=200", "/timeline")
    return "".join([(await millrace.api.get(f"/api/v1/runs/{run['id']}{path}")).text for path in paths])


def shell(command: str, **config: Any) -> dict[str, Any]:
    config = {"command": command, "env": {"T": "{{ secrets.striped }}"}, **config}
    return {"id": "say", "type": "shell", "config": config}


@pytest.mark.parametrize("before", [LONGEST_LINE - 24, LONGEST_LINE - 29, LONGEST_LINE - 1])
@pytest.mark.parametrize("behind", ["", "; sleep 0.1; head -c 20000 /dev/zero | tr '\\0' y"])
async def test_a_long_line_is_not_split_in_a_secret(millrace: Whole, before: int, behind: str) -> None:
    command = f"head -c {before} /dev/zero | tr '\\0' x; printf %s \"$T\"{behind}"
    run = await millrace.finished(shell(command))
    shown = await everything(millrace, run)
    assert "***" in shown
    assert_nothing_of_it(shown)


@pytest.mark.parametrize("kept", [1, 20, 29, 30, 31, 60, 1000])
async def test_the_end_of_an_output_does_not_begin_in_a_secret(millrace: Whole, kept: int) -> None:
    command = 'for i in $(seq 40); do printf "%s%s" "$T" "${i%?}"; done; echo "$T" >&2; exit ${CODE:-0}'
    run = await millrace.finished(shell(command, max_output=kept))
    assert_nothing_of_it(await everything(millrace, run))
    failed = await millrace.finished(shell(f"CODE=3; {command}", max_output=kept), name="failing")
    assert failed["status"] == "failed"
    assert_nothing_of_it(await everything(millrace, failed))


@pytest.mark.parametrize("before", [275, 290, 299, 975, 990, 999])
async def test_what_a_failure_quotes_does_not_end_in_a_secret(
    millrace: Whole, httpserver: HTTPServer, before: int
) -> None:
    text = "x" * before + SECRET + "y" * 5000
    httpserver.expect_request("/no").respond_with_data(text, status=500)
    headers = {"Authorization": "{{ secrets.striped }}"}
    http = {"id": "ask", "type": "http", "config": {"url": httpserver.url_for("/no"), "headers": headers}}
    run = await millrace.finished(http)
    assert run["status"] == "failed"
    assert_nothing_of_it(await everything(millrace, run))
    quoting = shell(f"printf '%0{before}d%s' 0 \"$T\" >&2; exit 1")
    assert_nothing_of_it(await everything(millrace, await millrace.finished(quoting, name="quoting")))


def test_streams_cut_nowhere_in_a_secret_however_they_are_fed() -> None:
    """What the log gets and what is kept, each masked by itself as it will be, against text made of secrets."""
    random_ = random.Random(7)
    masker = SecretMasker([SECRET, "another one, with spaces"])
    for _ in range(60):
        text = "".join(
            random_.choice([SECRET, "another one, with spaces", "-" * random_.randrange(9_000), "\n", "plain"])
            for _ in range(30)
        )
        log = Log()
        kept = random_.choice([0, 10, 500, 40_000])
        stream = Stream(log, "info", kept, masker)
        raw, at = text.encode(), 0
        while at < len(raw):
            step = random_.choice([1, 100, 16_384])
            stream.feed(raw[at : at + step])
            at += step
        stream.feed(b"", final=True)
        assert "".join(log.texts) == text.replace("\n", "")
        for shown in (*map(masker.text, log.texts), masker.text(stream.text)):
            assert_nothing_of_it(shown)
