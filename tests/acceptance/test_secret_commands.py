"""`millrace secrets` and `millrace connections` as people use them, and what happens when the key is lost."""

import json
from pathlib import Path

from tests.support.server import MillraceProcess, create_workflow, wait_finished
from tests.support.warm import nursery

TASK = {
    "id": "look",
    "type": "shell",
    "config": {"command": 'printf %s "$V" | wc -c', "env": {"V": "{{ secrets.piped }}"}},
}


def test_secrets_are_set_without_standing_in_the_list_of_processes(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", OF_MINE="taken from a variable") as server:
        (tmp_path / "key.pem").write_text("taken from a file\n")
        said = server.millrace(
            "secrets", "set", "piped", "--description", "by a pipe", input="taken from a pipe\n"
        ).stdout
        assert said.startswith("piped is set, version 1")
        server.millrace("secrets", "set", "varied", "--from-env", "OF_MINE")
        server.millrace("secrets", "set", "filed", "--from-file", str(tmp_path / "key.pem"))
        listed = json.loads(server.millrace("secrets", "list", "--json").stdout)
        assert [item["name"] for item in listed] == ["filed", "piped", "varied"]
        table = server.millrace("secrets").stdout
        assert "by a pipe" in table
        assert "taken from" not in table + json.dumps(listed)

        short = server.millrace("secrets", "set", "short", input="12345\n", check=False)
        assert short.returncode == 2
        assert "shorter than 6 characters" in short.stderr
        argument = server.millrace("secrets", "set", "wrong", "the value itself", check=False)
        assert argument.returncode == 2
        unset = server.millrace("secrets", "set", "wrong", "--from-env", "NOT_THERE", check=False)
        assert (unset.returncode, "NOT_THERE is not set" in unset.stderr) == (2, True)

        with server.client() as client:
            create_workflow(client, {"name": "looks", "tasks": [TASK]})
            run_id = client.post("/workflows/looks/execute", json={}).json()["id"]
            assert wait_finished(client, run_id)["status"] == "completed"
            (task,) = client.get(f"/runs/{run_id}/tasks").json()["items"]
            assert task["output"]["stdout"].strip() == str(len("taken from a pipe"))
        assert "it is read by looks" in server.millrace("secrets", "set", "piped", input="something else").stdout
        assert "these will fail without it: looks" in server.millrace("secrets", "delete", "piped", "--yes").stdout
        assert server.millrace("secrets", "delete", "piped", "--yes", check=False).returncode == 2


def test_connections_are_set_shown_tried_out_and_deleted(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        fields = ["-f", "host=db.internal", "-f", "port=5433", "-f", "database=sales", "-f", "user=reader"]
        secret = "open sesame now"
        server.millrace(
            "connections", "set", "warehouse", "-t", "postgresql", *fields, "--ask", "password", input=secret
        )
        shown = json.loads(server.millrace("connections", "show", "warehouse").stdout)
        assert shown["config"]["password"] == "***"
        assert (shown["config"]["port"], shown["config"]["host"]) == (5433, "db.internal")
        by_argument = server.millrace(
            "connections", "set", "warehouse", "-t", "postgresql", "-f", f"password={secret}", check=False
        )
        assert (by_argument.returncode, "--ask password" in by_argument.stderr) == (2, True)
        (tmp_path / "home" / "shop.db").touch()
        config = json.dumps({"path": str(tmp_path / "home" / "shop.db")})
        server.millrace("connections", "set", "shop", "-t", "sqlite", "--file", "-", input=config)
        assert "db.internal/sales" in server.millrace("connections").stdout
        assert server.millrace("connections", "test", "shop").stdout.startswith("ok after")
        failed = server.millrace("connections", "test", "warehouse", check=False)
        assert failed.returncode == 1
        assert failed.stdout.startswith("failed after")
        assert secret not in failed.stdout + failed.stderr
        assert server.millrace("connections", "delete", "shop", "--yes").stdout.startswith("shop is deleted")


def test_a_server_whose_key_is_lost_does_not_start_and_says_which_it_wants(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    place = tmp_path / "home" / "encryption-key"
    with server:
        server.millrace("secrets", "set", "door", input="open sesame")
        rotated = json.loads(server.millrace("secrets", "rotate-key", "--json").stdout)
        assert rotated["resealed"] == 1
    kept = place.read_text()
    place.unlink()
    for settings in ({}, {"MILLRACE_ENCRYPTION_KEY": "A" * 43 + "="}):
        done = nursery().run(["up"], {**server.environment, **settings}, timeout=60)
        assert done.returncode == 1
        assert rotated["key_id"] in done.stderr
        assert "MILLRACE_ENCRYPTION_KEY" in done.stderr
        assert "Traceback" not in done.stderr
        assert not place.exists()
    place.write_text(kept)
    with server:
        assert "door" in server.millrace("secrets", "list").stdout
