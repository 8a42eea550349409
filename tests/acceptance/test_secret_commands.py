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


def test_a_secret_is_given_to_workflows_and_hosts_and_goes_back_to_a_former_version(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        with server.client() as client:
            create_workflow(client, {"name": "looks", "tasks": [TASK]})
        scope = ("--workflow", "looks", "--workflow", "other", "--host", "api.example.com", "--host", "10.0.0.7:8443")
        assert "it is read by looks" in server.millrace("secrets", "set", "piped", *scope, input="the first").stdout
        table = server.millrace("secrets").stdout
        assert "looks, other" in table
        assert "10.0.0.7:8443, api.example.com" in table
        said = server.millrace(
            "secrets", "set", "piped", "--workflow", "other", "--any-host", input="the second"
        ).stdout
        assert "it is not for these, which name it and will fail: looks" in said
        (listed,) = json.loads(server.millrace("secrets", "list", "--json").stdout)
        assert (listed["workflows"], listed["hosts"]) == (["other"], None)
        both = server.millrace(
            "secrets", "set", "piped", "--workflow", "a", "--all-workflows", check=False, input="abcdefg"
        )
        assert (both.returncode, "not both" in both.stderr) == (2, True)

        narrowed = server.millrace("secrets", "scope", "piped", "--workflow", "looks", "--host", "*.example.com").stdout
        assert narrowed == "piped is for the workflows: looks, hosts: *.example.com\nit is read by looks\n"
        wider = server.millrace("secrets", "scope", "piped", "--host", "evil.test", check=False)
        assert (wider.returncode, "takes its value" in wider.stderr) == (2, True)
        nothing = server.millrace("secrets", "scope", "piped", check=False)
        assert (nothing.returncode, "--all-workflows" in nothing.stderr) == (2, True)
        server.millrace("secrets", "set", "piped", input="the third")
        lines = server.millrace("secrets", "versions", "piped").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["VERSION", "3", "2"]
        assert lines[1].endswith("holds")
        assert "as version 4" in server.millrace("secrets", "rollback", "piped", "2").stdout
        assert server.millrace("secrets", "rollback", "piped", "9", check=False).returncode == 2
        for host in ("a.example.com", "b.example.com"):
            server.millrace("connections", "set", "mail", "-t", "smtp", "-f", f"host={host}", "--workflow", "looks")
        assert len(json.loads(server.millrace("connections", "versions", "mail", "--json").stdout)) == 2
        server.millrace("connections", "rollback", "mail", "1")
        said = server.millrace("connections", "scope", "mail", "--all-workflows").stdout
        assert said == "mail is for the workflows: all\n"
        server.millrace("connections", "scope", "mail", "--workflow", "looks")
        shown = json.loads(server.millrace("connections", "show", "mail").stdout)
        assert (shown["config"]["host"], shown["version"], shown["workflows"]) == ("a.example.com", 3, ["looks"])


def test_secrets_of_the_environment_and_the_folder_are_named_and_useless_ones_warned_of(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    settings = {
        "MILLRACE_SECRET_GATE": "gate-value",
        "MILLRACE_SECRET_DOOR": "12345",
        "MILLRACE_SECRETS_DIR": str(folder),
    }
    with MillraceProcess(tmp_path / "home", **settings) as server:
        log = server.log.read_text()
        assert f"MILLRACE_SECRETS_DIR: there is no folder {folder}, so it defines no secrets" in log
        assert "MILLRACE_SECRET_DOOR is shorter than 6 characters" in log
        assert "12345" not in log
        folder.mkdir()
        for name in ("attic", "GATE", "no.name"):
            (folder / name).write_text(f"value of {name}")
        server.millrace("secrets", "set", "attic", input="of the database")
        listed = server.millrace("secrets", "list").stdout
        assert [line.split()[:2] for line in listed.splitlines()] == [
            ["NAME", "SOURCE"], ["attic", "database"],
            ["DOOR", "environment"], ["GATE", "environment"], ["attic", "folder"],
        ]  # fmt: skip
        told = json.loads(server.millrace("secrets", "list", "--json").stdout)
        assert told[0]["overridden_by"] == "folder"
        assert told[1:] == [
            {"name": "DOOR", "source": "environment"},
            {"name": "GATE", "source": "environment"},
            {"name": "attic", "source": "folder"},
        ]
        with server.client() as client:
            first = client.get("/outside-secrets", params={"limit": 2}).json()
            rest = client.get("/outside-secrets", params={"cursor": first["next_cursor"]}).json()
            assert [item["name"] for item in first["items"] + rest["items"]] == ["DOOR", "GATE", "attic"]


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
