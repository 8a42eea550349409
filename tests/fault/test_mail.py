"""S9: what fired in test mode is told once, although the mail server is away and Millrace is killed meanwhile."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.integration.runners.smtp_kit import mailhouse
from tests.support.server import MillraceProcess, create_workflow, free_port, until

SETTINGS = {
    "MILLRACE_APPLY_EXAMPLES": "false",
    "MILLRACE_SMTP_HOST": "127.0.0.1",
    "MILLRACE_SMTP_TLS": "none",
    "MILLRACE_SMTP_FROM": "millrace@example.com",
    "MILLRACE_TEST_MODE": "true",
    "MILLRACE_TEST_MODE_RECIPIENT": "ops@example.com",
}


def test_a_mail_outlives_a_kill_and_a_mail_server_that_is_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with MillraceProcess(home, **SETTINGS, MILLRACE_SMTP_PORT=str(free_port())) as server, server.client() as client:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        trigger = {"id": "opening", "type": "once", "config": {"at": soon.isoformat()}}
        create_workflow(client, {"name": "shop", "triggers": [trigger], "tasks": [{"id": "a", "type": "noop"}]})
        (firing,) = until(lambda: client.get("/workflows/shop/firings").json()["items"])
        assert (firing["decision"], firing["run_id"]) == ("skipped", None)
        until(lambda: "could not be sent" in server.log.read_text())
        server.kill()
    with mailhouse() as house, MillraceProcess(home, **SETTINGS, MILLRACE_SMTP_PORT=str(house.port)) as server:
        until(lambda: house.letters)
        server.kill()
        server.start()
        with server.client() as client:
            assert len(client.get("/workflows/shop/firings").json()["items"]) == 1
            assert client.get("/runs").json()["items"] == []
        shown = json.loads(server.millrace("workflows", "show", "shop", "--json").stdout)
        (letter,) = house.letters
    assert letter.message["Subject"] == "[Millrace test mode] opening of shop fired"
    assert letter.message.get_content_type() == "multipart/alternative"
    assert shown["test_mode"]["recipient"] == "ops@example.com"
