"""R4: what bash offers when Tab is pressed, after what `--install-completion` put into the home folder."""

import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess, wait_finished

HELD = {"name": "held", "tasks": [{"id": "nap", "type": "shell", "config": {"command": ["sleep", "60"]}}]}
WORKFLOWS: list[dict[str, Any]] = [
    {"name": "orders", "tasks": [{"id": "fetch", "type": "noop"}, {"id": "load", "type": "noop"}]},
    {"name": "two words: here", "tasks": [{"id": "a", "type": "noop"}]},
    {"name": "$(touch hacked)", "tasks": [{"id": "a", "type": "noop"}]},
    HELD,
]
PRESS_TAB = """
. "$HOME/.bashrc"
function=$(complete -p millrace | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$function millrace
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("tab") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        # `exit` keeps bash from giving its process to the command, which looks for a shell among those that started it.
        in_bash(running, "millrace --install-completion; exit $?")
        with running.client() as client:
            for body in WORKFLOWS:
                assert client.post("/workflows", json=body).status_code == 201
        yield running


def in_bash(server: MillraceProcess, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **server.environment,
        "HOME": str(server.home.parent),
        "PATH": f"{Path(sys.executable).parent}:{server.environment['PATH']}",
        **environment,
    }
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)


def offered(server: MillraceProcess, *words: str, **environment: str) -> list[str]:
    """What bash offers for the last of the words; nothing must be said beside it."""
    script = PRESS_TAB.format(words=" ".join(map(shlex.quote, ("millrace", *words))))
    done = in_bash(server, script, **environment)
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_names_of_workflows_are_offered(server: MillraceProcess) -> None:
    assert offered(server, "dele") == ["delete"]
    assert offered(server, "run", "ord") == ["orders"]
    assert sorted(offered(server, "enable", "")) == ["held", "orders", "touch-hacked", "two-words-here"]
    assert offered(server, "run", "two-w") == ["two-words-here"], "a slug for what is not one word"
    assert offered(server, "enable", "orders", "hel") == ["held"]
    assert offered(server, "runs", "--workflow", "or") == ["orders"]
    assert offered(server, "run", "nothing-like-it") == []


def test_ids_of_runs_and_their_tasks_are_offered(server: MillraceProcess) -> None:
    with server.client() as client:
        over = client.post("/workflows/orders/execute", json={}).json()["id"]
        wait_finished(client, over)
        live = client.post("/workflows/held/execute", json={}).json()["id"]
    assert offered(server, "show", "") == [live, over]
    assert offered(server, "show", over[:-1]) == [over]
    assert offered(server, "cancel", "") == [live]
    assert offered(server, "retry", "") == []
    assert offered(server, "rerun", over, "--from", "") == ["fetch", "load"]
    assert offered(server, "logs", over, "--task", "lo") == ["load"]
    server.millrace("cancel", live)


def test_tasks_versions_and_other_names_are_offered(server: MillraceProcess) -> None:
    with server.client() as client:
        client.patch("/workflows/orders/versions/1", json={"tag": "good"})
        client.put("/secrets/orders_api", json={"value": "a secret value"})
    assert offered(server, "tasks", "show", "orders", "f") == ["fetch"]
    assert offered(server, "deploy", "orders", "") == ["1", "good"]
    assert offered(server, "diff", "orders", "--from", "g") == ["good"]
    assert offered(server, "secrets", "delete", "ord") == ["orders_api"]


def test_whatever_goes_wrong_nothing_is_offered_and_nothing_said(server: MillraceProcess, tmp_path: Path) -> None:
    assert offered(server, "run", "o", MILLRACE_URL="http://127.0.0.1:9", MILLRACE_API_KEY="mr_x") == []
    assert offered(server, "run", "o", MILLRACE_URL="no URL") == []
    assert offered(server, "run", "o", MILLRACE_API_KEY="mr_ä") == []
    assert offered(server, "show", "", MILLRACE_API_KEY="mr_wrong") == []
    assert offered(server, "tasks", "show", "nothing", "") == []
    assert offered(server, "run", "--server", "http://127.0.0.1:9", "o") == [], "the server that is named is asked"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        assert offered(server, "run", "o", MILLRACE_URL=url, MILLRACE_API_KEY="mr_x") == []
