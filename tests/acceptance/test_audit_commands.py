"""`millrace audit` as people use it, and what all commands have in common where there is nothing to show."""

import json
from pathlib import Path

from tests.support.server import MillraceProcess
from tests.support.warm import nursery

MANY = 210
"""More rows than a page of the API has."""


def test_the_audit_log_is_listed_beyond_a_page_and_exported_over_no_file(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        assert server.millrace("users", "list", "--role", "viewer").stdout == "there are none\n"
        with server.client() as client:
            for number in range(MANY):
                client.put(f"/secrets/door_{number}", json={"value": "a value", "workflows": ["known"]})
            client.post("/users", json={"kind": "service", "name": "bot", "role": "viewer"})

        some = server.millrace("audit", "list", "--limit", "2")
        assert len(some.stdout.splitlines()) == 3
        assert "the newest 2 are shown; more: --limit" in some.stderr
        whole = server.millrace("audit", "list", "--action", "secret.set", "--limit", "1000", "--json")
        items = json.loads(whole.stdout)["items"]
        assert len(items) == MANY
        assert items[0]["after"]["workflows"] == ["known"]
        assert "are shown" not in server.millrace("audit", "list", "--limit", "1000").stderr
        (made,) = json.loads(server.millrace("audit", "list", "--action", "user.create", "--json").stdout)["items"]
        assert (made["after"]["name"], made["after"]["email"]) == ("bot", None)

        place = tmp_path / "audit.jsonl"
        place.write_text("of last year")
        refused = server.millrace("audit", "export", "--output", str(place), check=False)
        assert (refused.returncode, "--force" in refused.stderr, place.read_text()) == (2, True, "of last year")
        server.millrace("audit", "export", "--output", str(place), "--force")
        assert len(place.read_text().splitlines()) > MANY


def test_the_server_is_named_before_the_command_or_after_it_and_faults_name_standard_input(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        nowhere = {**server.environment, "MILLRACE_URL": "http://127.0.0.1:1"}
        for arguments in (("--server", server.url, "whoami"), ("whoami", "--server", server.url)):
            done = nursery().run(arguments, nowhere, timeout=60)
            assert (done.returncode, "Administrator" in done.stdout) == (0, True), done.stderr
        for given, told in (
            ('{\n "host": oops}', "error: standard input does not hold JSON: line 2, Expecting value\n"),
            ("[]", "error: standard input holds JSON that is not a mapping\n"),
        ):
            done = server.millrace(
                "connections", "set", "mail", "--type", "smtp", "--file", "-", input=given, check=False
            )
            assert (done.returncode, done.stderr) == (2, told)
        with server.client() as client:
            document = client.get(f"{server.url}/openapi.json").json()
            cookie = document["components"]["securitySchemes"]["SessionCookie"]
            assert (cookie["in"], cookie["name"]) == ("cookie", "millrace_session")
            assert {"SessionCookie": []} in document["paths"]["/api/v1/runs"]["get"]["security"]
            assert "security" not in document["paths"]["/api/v1/auth/login"]["post"]
