"""`millrace show`, `cancel` and `explain`: what a run belongs to, what is too large for a line, whose name it is."""

import json
from collections.abc import Iterator

import pytest

from tests.support.server import MillraceProcess, create_workflow, until

CHILD = {"name": "child", "tasks": [{"id": "a", "type": "noop"}]}
MOTHER = {
    "name": "mother",
    "tasks": [
        {"id": "sub", "type": "sub_workflow", "config": {"workflow": "child"}},
        {"id": "beside", "type": "sub_workflow", "config": {"workflow": "child", "wait": False}},
        {
            "id": "each",
            "type": "foreach",
            "config": {"items": [1, 2]},
            "tasks": [{"id": "inner", "type": "sleep", "config": {"duration": "1h"}}],
        },
    ],
    "finally": [{"id": "tidy", "type": "sleep", "config": {"duration": "1h"}}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("shown") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        with running.client() as client:
            for one in (CHILD, MOTHER):
                create_workflow(client, one)
        yield running


@pytest.fixture(scope="module")
def run(server: MillraceProcess) -> str:
    """A run of the mother that waits in its loop, and whose children have ended."""
    started = server.millrace("run", "mother").stdout.strip()

    def is_there() -> bool:
        listed = server.millrace("runs", "--parent", started, "--status", "completed", "--json").stdout
        return len(json.loads(listed)["items"]) == 2 and "each[1].inner" in server.millrace("show", started).stdout

    until(is_there)
    return started


def test_a_run_names_its_children_and_they_their_parent(server: MillraceProcess, run: str) -> None:
    children = [line.split() for line in server.millrace("show", run).stdout.split("CHILD ")[1].splitlines()[1:]]
    assert sorted((child[1], child[-1]) for child in children) == [("child", "beside"), ("child", "sub")]
    by_task = {child[-1]: child[0] for child in children}
    assert f"parent    {run}, task sub" in server.millrace("show", by_task["sub"]).stdout.splitlines()
    assert f"parent    {run}" in server.millrace("show", by_task["beside"]).stdout.splitlines()
    assert "CHILD" not in server.millrace("show", run, "--within", "each").stdout


def test_what_is_not_in_a_run_cannot_be_opened(server: MillraceProcess, run: str) -> None:
    refused = server.millrace("show", run, "--within", "each[99]", check=False)
    assert refused.returncode == 2
    assert "of 'each' 2 iterations have begun" in refused.stderr
    assert "each[0] to each[1]" in refused.stderr
    assert "no task of this run" in server.millrace("show", run, "--within", "other", check=False).stderr


def test_a_large_input_is_shown_by_its_beginning(server: MillraceProcess) -> None:
    run = server.millrace("run", "child", "-i", "text=" + "x" * 5000).stdout.strip()
    (line,) = [line for line in server.millrace("show", run).stdout.splitlines() if line.startswith("input")]
    assert len(line) < 2200
    assert line.endswith("… (5,012 characters; --json prints all of them)")
    assert len(json.loads(server.millrace("show", run, "--json").stdout)["input"]["text"]) == 5000


def test_a_second_cancel_says_what_it_skips(server: MillraceProcess) -> None:
    run = server.millrace("run", "mother").stdout.strip()
    assert server.millrace("cancel", run).stdout == f"cancel of {run} is under way\n"
    until(lambda: "cancelling" in server.millrace("show", run).stdout)
    second = server.millrace("cancel", run).stdout
    assert second.startswith(f"second cancel of {run} is under way: ")
    assert "`finally`" in second
    until(lambda: "cancelled" in server.millrace("show", run).stdout)
    lines = [line for line in server.millrace("show", run).stdout.splitlines() if line.startswith("cancel  ")]
    assert ["what follows a cancel is skipped since" in line for line in lines] == [False, True]


def test_explain_calls_users_and_limits_by_names(server: MillraceProcess) -> None:
    with server.client() as client:
        ask = {"id": "ask", "type": "approval", "config": {"message": "?"}}
        create_workflow(
            client, {"name": "limited", "tasks": [ask], "concurrency": {"limit": 1, "key": "{{ input.shop }}"}}
        )
        first, second = (server.millrace("run", "limited", "-i", "shop=east").stdout.strip() for _ in range(2))
        server.millrace("approve", first, "ask")
        until(lambda: "waiting" in server.millrace("show", second).stdout)
        told = server.millrace("explain", first).stdout
        assert "decided (approved true, by Administrator)" in told
        assert "under its limit (workflow limited, key east)" in server.millrace("explain", second).stdout
        (task,) = client.get(f"/runs/{first}/timeline").json()["tasks"]
        assert task["notes"][0]["data"]["by"]["name"] == "Administrator"
