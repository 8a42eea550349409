"""`millrace setup`, `login`, `users`, `keys` and their kin as people use them, with two who work on one server."""

import json
import os
import pty
import select
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.support.logins import ADA, OTHER, PASSWORD
from tests.support.server import MillraceProcess
from tests.support.warm import nursery


class Person:
    """Somebody with a configuration of his own, and without the files of the server's home."""

    def __init__(self, server: MillraceProcess, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.environment = {**server.environment, "XDG_CONFIG_HOME": str(folder), "MILLRACE_HOME": str(folder / "home")}

    def millrace(self, *arguments: str, input: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
        return command(self.environment, *arguments, "--server", self.server.url, input=input, status=status)

    @property
    def credentials(self) -> Path:
        return self.folder / "millrace" / "credentials"


def command(
    environment: dict[str, str], *arguments: str, input: str = "", status: int = 0
) -> subprocess.CompletedProcess[str]:
    done = nursery().run(arguments, environment, timeout=120, input=input)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done


def test_from_the_first_start_to_a_second_person(tmp_path: Path) -> None:
    with MillraceProcess(
        tmp_path / "home", XDG_CONFIG_HOME=str(tmp_path / "none"), MILLRACE_ACCESS_TOKEN_LIFETIME="1m"
    ) as server:
        ada, grace = Person(server, tmp_path / "ada"), Person(server, tmp_path / "grace")
        set_up_by(server)
        logs_in(ada)
        comes_with_a_reset(ada, grace)
        works_by_a_key(ada, server)
        is_restricted(ada, grace, tmp_path / "many")
        is_sent_away(ada, grace)
        assert "this one" in ada.millrace("sessions").stdout
        assert ada.millrace("logout").stdout == "logged out\n"
        assert "not logged in" in ada.millrace("logout", status=2).stderr

        # Where the first key can be read, a logout leaves its reader an administrator: that is said.
        key_file = tmp_path / "home" / "api-key"
        server.millrace("login", "--email", ADA, "--password-stdin", input=PASSWORD)
        assert "by a login" in server.millrace("whoami").stdout
        told = f"logged out; 1 login ended\nfrom now on commands here use the API key in {key_file}\n"
        assert server.millrace("logout", "--everywhere").stdout == told
        assert f"…) from {key_file}\n" in server.millrace("whoami").stdout


def set_up_by(server: MillraceProcess) -> None:
    set_up = server.millrace("setup", "--email", ADA, "--name", "Ada", "--password-stdin", input=PASSWORD + "\n")
    assert "Ada is an administrator" in set_up.stdout
    again = server.millrace("setup", "--email", ADA, "--name", "Ada", "--password-stdin", input="x", check=False)
    assert (again.returncode, "has been set up" in again.stderr) == (2, True)


def logs_in(ada: Person) -> None:
    assert "no API key" in ada.millrace("whoami", status=2).stderr
    wrong = ada.millrace("login", "--email", ADA, "--password-stdin", input="wrong", status=2)
    assert "the e-mail address or the password is wrong" in wrong.stderr
    assert (
        "logged in as Ada (admin)" in ada.millrace("login", "--email", ADA, "--password-stdin", input=PASSWORD).stdout
    )
    assert stat.S_IMODE(ada.credentials.stat().st_mode) == 0o600
    assert PASSWORD not in ada.credentials.read_text()
    assert "Ada (ada@example.com), admin, by a login" in ada.millrace("whoami").stdout


def comes_with_a_reset(ada: Person, grace: Person) -> None:
    token = _word_with("mrp_", ada.millrace("users", "create", "Grace", "--email", "g@example.com").stdout)
    assert "viewer" in ada.millrace("users").stdout
    grace.millrace("password", "--reset", input=f"{token}\n{OTHER}\n")
    grace.millrace("login", "--email", "g@example.com", "--password-stdin", input=OTHER)
    grace.millrace("runs")
    refused = grace.millrace("users", status=2)
    assert "the role viewer does not have the permission user:read" in refused.stderr
    ada.millrace("users", "edit", "g@example.com", "--role", "operator")
    assert "operator" in grace.millrace("whoami").stdout


def works_by_a_key(ada: Person, server: MillraceProcess) -> None:
    """A service account."""
    ada.millrace("users", "create", "deploy-bot", "--service", "--role", "operator")
    made = ada.millrace("keys", "create", "ci", "--user", "deploy-bot", "--scope", "run:read", "--expires-in", "90d")
    key = made.stdout.strip()
    assert key.startswith("mr_")
    by_key = {**server.environment, "MILLRACE_API_KEY": key}
    command(by_key, "runs")
    told = f"operator, by the API key 'ci' ({key[:11]}…) from MILLRACE_API_KEY\nmay: run:read\n"
    assert f"deploy-bot (service account), {told}" == command(by_key, "whoami").stdout
    listed = json.loads(ada.millrace("keys", "list", "--user", "deploy-bot", "--json").stdout)
    (item,) = listed
    assert key not in json.dumps(listed)
    everybody = ada.millrace("keys", "list", "--all").stdout
    assert (" deploy-bot " in everybody, " Ada " in everybody) == (True, True)
    assert "leave out --user" in ada.millrace("keys", "list", "--all", "--user", "deploy-bot", status=2).stderr
    fresh = ada.millrace("keys", "rotate", item["id"], "--overlap", "1h").stdout.strip()
    assert fresh not in ("", key)
    assert "say --yes" in ada.millrace("keys", "revoke", item["id"], status=2).stderr
    ada.millrace("keys", "revoke", item["id"], "--yes")
    command(by_key, "runs", status=2)


def is_restricted(ada: Person, grace: Person, many: Path) -> None:
    many.mkdir()
    for number in range(12):
        text = f"name: flow-{number:02}\ntasks:\n  - id: a\n    type: noop\n"
        (many / f"{number}.yaml").write_text(text)
    ada.millrace("apply", "-f", str(many))
    assert "granted" not in grace.millrace("whoami").stdout
    ada.millrace("users", "edit", "g@example.com", "--access", "granted")
    assert "\ngranted: nothing\n" in grace.millrace("whoami").stdout
    for number in range(12):
        ada.millrace("grants", "set", f"flow-{number:02}", "g@example.com", "view", "run")
    granted = grace.millrace("whoami").stdout
    assert "\ngranted: flow-00 (view, run), " in granted
    assert (granted.count("flow-"), "`millrace grants list` shows more" in granted) == (10, True)
    assert grace.millrace("grants", "list").stdout.count("flow-") == 12


def is_sent_away(ada: Person, grace: Person) -> None:
    ada.millrace("users", "disable", "g@example.com")
    grace.millrace("whoami", status=2)
    ada.millrace("users", "enable", "g@example.com")
    ada.millrace("users", "delete", "g@example.com", "--yes")
    (gone,) = json.loads(ada.millrace("users", "list", "--status", "deleted", "--json").stdout)
    exported = json.loads(ada.millrace("users", "export", gone["id"]).stdout)
    assert exported["user"] == gone
    assert "login.start" in {one["action"] for one in exported["done"]["items"]}
    assert "say --yes" in ada.millrace("users", "erase", gone["id"], status=2).stderr
    assert "is erased" in ada.millrace("users", "erase", gone["id"], "--yes").stdout
    assert "erased user" in ada.millrace("users", "list", "--status", "deleted").stdout
    assert "what was personal was erased" in ada.millrace("audit", "verify").stdout


def test_a_login_is_renewed_by_one_of_many_commands(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", XDG_CONFIG_HOME=str(tmp_path / "none")) as server:
        server.millrace("setup", "--email", ADA, "--name", "Ada", "--password-stdin", input=PASSWORD)
        ada = Person(server, tmp_path / "ada")
        ada.millrace("login", "--email", ADA, "--password-stdin", input=PASSWORD)
        kept = json.loads(ada.credentials.read_text())
        kept[server.url]["expires_at"] = 0
        ada.credentials.write_text(json.dumps(kept))
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: ada.millrace("whoami").stdout, range(4)))
        assert all("by a login" in text for text in done)
        assert json.loads(ada.credentials.read_text())[server.url]["refresh_token"] != kept[server.url]["refresh_token"]
        # Whoever has copied the file cannot go on with it beside its owner.
        ada.credentials.write_text(json.dumps(kept))
        ended = ada.millrace("whoami", status=2)
        assert "log in again with `millrace login`" in ended.stderr
        assert json.loads(ada.credentials.read_text()) == {}


def test_passwords_are_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", XDG_CONFIG_HOME=str(tmp_path / "config")) as server:
        twice = [("Password: ", PASSWORD), ("Repeat for confirmation: ", PASSWORD)]
        assert "is an administrator" in answering(server, "setup", [("E-mail:", ADA), ("Name:", "Ada"), *twice])
        assert "logged in as Ada" in answering(server, "login", [("E-mail:", ADA), ("Password: ", PASSWORD)])
        asked = [("Old password: ", PASSWORD), ("New password: ", OTHER), ("Repeat for confirmation: ", OTHER)]
        assert "the password is set" in answering(server, "password", asked)


def answering(server: MillraceProcess, command: str, answers: list[tuple[str, str]]) -> str:
    """What a command draws on a terminal, where each question is answered once it is there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli.main", command],
        env={**server.environment, "TERM": "dumb"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    drawn = ""
    for question, text in answers:
        shown = ""
        while question not in shown:
            assert select.select([leader], [], [], 60)[0], drawn + shown
            shown += os.read(leader, 65_536).decode()
        drawn += shown
        os.write(leader, f"{text}\n".encode())
    with suppress(OSError):  # how Linux says that the other side has gone
        while part := os.read(leader, 65_536):
            drawn += part.decode()
    os.close(leader)
    assert process.wait(timeout=60) == 0, drawn
    assert PASSWORD not in drawn
    assert OTHER not in drawn
    return drawn


def _word_with(beginning: str, text: str) -> str:
    return next(word for word in text.split() if word.startswith(beginning))
