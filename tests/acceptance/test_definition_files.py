"""W3, W4, W6 on the command line: definitions as files, and the versions that come of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess
from tests.support.terminal import on_a_terminal

EXAMPLES = Path(__file__).parents[2] / "examples"
STRANGE = ["a/b", "..", "on", "  two  spaces ", "Ümläut 📚", "'quoted\" # : - {x}", "line\nbreak", "😀", "1e5", "null"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("files") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        yield running


def write(folder: Path, *names: str, value: Any = 1) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        tasks = [{"id": "a", "type": "transform", "config": {"output": value}}]
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "tasks": tasks}))


def as_json(server: MillraceProcess, *arguments: str, status: int = 0) -> Any:
    done = server.millrace(*arguments, "--json", check=False)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def outcomes(results: list[dict[str, Any]]) -> dict[str, str]:
    return {result.get("name", result["file"]): result["outcome"] for result in results}


def existing(server: MillraceProcess, *arguments: str) -> list[str]:
    return [item["name"] for item in as_json(server, "workflows", *arguments)]


# --- apply ------------------------------------------------------------------------------------------------------------


def test_all_examples_are_applied_once_exported_and_applied_again(server: MillraceProcess, tmp_path: Path) -> None:
    first = as_json(server, "apply", "-f", str(EXAMPLES))
    assert len(first) >= 2
    assert set(outcomes(first).values()) == {"created"}
    assert set(outcomes(as_json(server, "apply", "-f", str(EXAMPLES))).values()) == {"unchanged"}
    names = [result["name"] for result in first]
    server.millrace("export", *names, "-o", str(tmp_path / "out"))
    again = as_json(server, "apply", "-f", str(tmp_path / "out"))
    assert outcomes(again) == dict.fromkeys(names, "unchanged")


def test_every_file_is_applied_or_told_what_is_wrong(server: MillraceProcess, tmp_path: Path) -> None:
    write(tmp_path, "well", "twin")
    (tmp_path / "twin-again.yaml").write_text("name: twin\ntasks: [{id: b, type: noop}]\n")
    (tmp_path / "unreadable.yaml").write_text("name: [\n")
    (tmp_path / "faulty.yml").write_text("name: faulty\ntasks: [{id: a, type: nop}]\n")
    (tmp_path / ".hidden.yaml").write_text("name: hidden\n")
    done = server.millrace("apply", "-f", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "tasks[0].type" in done.stdout
    assert "line 2" in done.stdout
    results = as_json(server, "apply", "-f", str(tmp_path), status=1)
    assert {Path(result["file"]).name: result["outcome"] for result in results} == {
        "faulty.yml": "faulty",
        "twin-again.yaml": "unchanged",
        "twin.json": "faulty",
        "unreadable.yaml": "faulty",
        "well.json": "unchanged",
    }
    twin = next(result for result in results if result["file"].endswith("twin.json"))
    assert "twin-again.yaml" in twin["problem"]["detail"]
    assert "hidden" not in existing(server)


def test_a_dry_run_shows_the_difference_and_does_nothing(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "dry.yaml"
    place.write_text("name: dry\ntasks:\n  - {id: a, type: transform, config: {output: 1}}\n  - {id: b, type: noop}\n")
    assert server.millrace("apply", "-f", str(place), "--dry-run").stdout.startswith("created")
    assert "dry" not in existing(server)
    server.millrace("apply", "-f", str(place))
    place.write_text(
        "name: dry\ntimeout: 5m\ntasks:\n  - {id: c, type: noop}\n  - {id: a, type: transform, config: {output: 2}}\n"
    )
    lines = server.millrace("apply", "-f", str(place), "--dry-run").stdout.splitlines()
    assert lines == [
        f"updated   {place}: dry version 2",
        '  + timeout: "5m"',
        "  - task b (noop), was at tasks[1]",
        "  + task c (noop) at tasks[0]",
        "  ~ task a",
        "      ~ config.output: 1 -> 2",
        "nothing was changed: this was a dry run",
    ]
    assert len(as_json(server, "versions", "dry")["items"]) == 1


# --- prune ------------------------------------------------------------------------------------------------------------


def test_prune_deletes_what_an_earlier_apply_of_the_source_made_and_nothing_else(
    server: MillraceProcess, tmp_path: Path
) -> None:
    mine, theirs, hand = tmp_path / "mine", tmp_path / "theirs", tmp_path / "hand"
    write(mine, "p-stays", "p-goes", "p-by-hand")
    write(theirs, "p-theirs")
    write(hand, "p-by-hand", "p-other")
    server.millrace("apply", "-f", str(hand))
    made = {"p-stays": "created", "p-goes": "created", "p-by-hand": "adopted"}
    assert outcomes(as_json(server, "apply", "-f", str(mine), "--source", "mine", "--dry-run")) == made
    shown = server.millrace("apply", "-f", str(mine), "--source", "mine").stdout
    assert "p-by-hand version 1 (belongs to mine now, before to no source)" in shown
    server.millrace("apply", "-f", str(theirs), "--source", "theirs")
    (mine / "p-goes.json").unlink()
    prune = ("apply", "-f", str(mine), "--source", "mine", "--prune")
    kept = {"p-stays": "unchanged", "p-by-hand": "unchanged"}

    everything = ["p-by-hand", "p-goes", "p-other", "p-stays", "p-theirs"]
    assert existing(server, "--name", "p-") == everything
    without = server.millrace("apply", "-f", str(mine), "--prune", check=False)
    assert (without.returncode, "--source" in without.stderr) == (2, True)
    assert outcomes(as_json(server, *prune, "--dry-run")) == {**kept, "p-goes": "deleted"}
    write(mine, "p-new")
    refused = server.millrace(*prune, check=False)
    assert (refused.returncode, "p-goes" in refused.stderr, "--yes" in refused.stderr) == (2, True, True)
    assert existing(server, "--name", "p-") == everything, "nothing is done before there is consent"

    (mine / "broken.yaml").write_text("name: p-goes\ntasks: []\n")
    assert "deleted" not in outcomes(as_json(server, *prune, "--dry-run", status=1)).values()
    results = as_json(server, *prune, "--yes", status=1)
    assert outcomes(results) == {**kept, "p-new": "created", str(mine / "broken.yaml"): "faulty"}
    assert "p-goes" in existing(server), "its file may be the faulty one"
    (mine / "broken.yaml").unlink()

    done = server.millrace(*prune, "--yes")
    assert "deleted   p-goes" in done.stdout
    assert existing(server, "--name", "p-") == ["p-by-hand", "p-new", "p-other", "p-stays", "p-theirs"]
    assert existing(server, "--source", "mine") == ["p-by-hand", "p-new", "p-stays"]
    assert "deleted" not in server.millrace(*prune, "--yes").stdout
    (mine / "p-by-hand.json").unlink()
    assert "deleted   p-by-hand" in server.millrace(*prune, "--yes").stdout


def test_prune_asks_on_a_terminal(server: MillraceProcess, tmp_path: Path) -> None:
    write(tmp_path, "asked-stays", "asked-goes")
    server.millrace("apply", "-f", str(tmp_path), "--source", "asked")
    (tmp_path / "asked-goes.json").unlink()
    for answer, left in (("n\n", ["asked-goes", "asked-stays"]), ("y\n", ["asked-stays"])):
        prune = ("apply", "-f", str(tmp_path), "--source", "asked", "--prune")
        status, drawn = on_a_terminal(server, *prune, typed=answer)
        assert "Delete the workflow 'asked-goes'?" in drawn
        assert (status == 0) is (answer == "y\n")
        assert existing(server, "--name", "asked") == left


# --- export -----------------------------------------------------------------------------------------------------------


def test_export_and_apply_change_nothing_whatever_the_names_are(server: MillraceProcess, tmp_path: Path) -> None:
    texts = ["12:30", "0x1f", "no", "2026-01-01", "~", "a\nb\n", " lead", "tab\there", "é\u2028", "{{ input.x }}", ""]
    with server.client() as client:
        for position, name in enumerate(STRANGE):
            body = {
                "name": name,
                "description": f"{name} again",
                "labels": {name: name},
                "metadata": {"texts": texts, "numbers": [1, 1.0, 1e20, -0.5, True, None], name: {}},
                "variables": {"x": texts},
                "tasks": [{"id": "a", "type": "transform", "config": {"output": texts}}],
                "status": ["active", "draft", "paused", "inactive", "archived"][position % 5],
                **({"deploy": False} if position > 7 else {}),
                **({"version_tag": "1.0"} if position % 2 else {}),
            }
            assert client.post("/workflows", json=body).status_code == 201, name
        before = {name: client.get("/workflows", params={"name": name}).json() for name in STRANGE}
    folder = tmp_path / "out"
    server.millrace("export", "--all", "-o", str(folder))
    everything = existing(server)
    assert len(list(folder.iterdir())) == len(everything)
    assert outcomes(as_json(server, "apply", "-f", str(folder))) == dict.fromkeys(everything, "unchanged")
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    server.millrace("export", "--all", "-o", str(folder))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
    with server.client() as client:
        assert {name: client.get("/workflows", params={"name": name}).json() for name in STRANGE} == before


def test_what_was_exported_makes_the_same_workflows_anew(server: MillraceProcess, tmp_path: Path) -> None:
    states = {
        "e-active": {"version_tag": "1.0", "owner": "grace"},
        "e-draft": {"status": "draft"},
        "e-paused": {"status": "paused"},
        "e-kept": {"deploy": False},
    }
    keys = ("status", "version", "deployed_version", "definition")
    shown: list[dict[str, Any]] = []
    with server.client() as client:
        for name, fields in states.items():
            body = {"name": name, "tasks": [{"id": "a", "type": "noop"}], **fields}
            assert client.post("/workflows", json=body).status_code == 201
        server.millrace("export", *states, "-o", str(tmp_path / "out"))
        for again in (False, True):
            found = {name: client.get(f"/workflows/{name}").json() for name in states}
            shown.append({name: {key: workflow[key] for key in keys} for name, workflow in found.items()})
            if not again:
                for name in states:
                    assert client.delete(f"/workflows/{name}").status_code == 204
                server.millrace("apply", "-f", str(tmp_path / "out"))
    assert shown[0] == shown[1]


def test_one_workflow_is_exported_to_the_screen(server: MillraceProcess, tmp_path: Path) -> None:
    write(tmp_path, "screened")
    server.millrace("apply", "-f", str(tmp_path))
    text = server.millrace("export", "screened").stdout
    assert text == "name: screened\ntasks:\n  - id: a\n    type: transform\n    config:\n      output: 1\n"
    assert as_json(server, "export", "screened")[0]["name"] == "screened"
    for arguments in (["export"], ["export", "--all"], ["export", "screened", "--all"], ["export", "nothing"]):
        assert server.millrace(*arguments, check=False).returncode == 2, arguments


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_from_the_first_to_a_rollback(server: MillraceProcess, tmp_path: Path) -> None:
    for value in (1, 2):
        write(tmp_path, "lived", value=value)
        server.millrace("apply", "-f", str(tmp_path))
    assert server.millrace("tag", "lived", "1", "good/1").stdout == "version 1: good/1\n"
    lines = server.millrace("versions", "lived").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["2", "*"], ["1", "good/1"]]
    for wanted, number in (("good/1", 1), ("2", 2)):
        started = server.millrace("run", "lived", "--version", wanted, "--follow").stdout.splitlines()
        assert started[0].endswith(f"of lived version {number}")
    told = server.millrace("diff", "lived").stdout.splitlines()
    assert told == ["lived: version 1 (good/1) -> 2", "~ task a", "    ~ config.output: 1 -> 2"]
    assert server.millrace("diff", "lived", "--from", "good/1", "--exit-code", check=False).returncode == 1
    same = server.millrace("diff", "lived", "--from", "2", "--to", "2", "--exit-code")
    assert "no difference" in same.stdout
    assert server.millrace("deploy", "lived", "good/1", "-m", "as before").stdout == "lived: version 1 is deployed\n"
    back = server.millrace("rollback", "lived", "good/1", "--comment", "two was wrong").stdout
    assert back == "lived: version 3 does what good/1 did; version 3 is deployed\n"
    assert as_json(server, "diff", "lived", "--from", "1", "--to", "3")["identical"] is True
    records = as_json(server, "deployments", "lived")["items"]
    assert [(record["action"], record["version"], record["message"]) for record in records] == [
        ("rollback", 3, "two was wrong"),
        ("deploy", 1, "as before"),
        ("deploy", 2, None),
        ("deploy", 1, None),
    ]
    assert "rollback" in server.millrace("deployments", "lived").stdout
    assert server.millrace("rollback", "lived", "9", check=False).returncode == 2


def test_enable_disable_deploy_and_undeploy_by_name(server: MillraceProcess, tmp_path: Path) -> None:
    write(tmp_path, "pair-one", "pair-two")
    server.millrace("apply", "-f", str(tmp_path))
    assert server.millrace("disable", "pair-one", "pair-two").stdout.splitlines() == [
        "pair-one: paused, version 1 is deployed",
        "pair-two: paused, version 1 is deployed",
    ]
    assert existing(server, "--name", "pair-", "--status", "paused") == ["pair-one", "pair-two"]
    partly = server.millrace("enable", "pair-one", "nothing", "pair-two", check=False)
    assert partly.returncode == 2
    assert "nothing" in partly.stderr
    assert existing(server, "--name", "pair-", "--status", "active") == ["pair-one", "pair-two"]
    assert server.millrace("undeploy", "pair-one").stdout == "pair-one: active, nothing is deployed\n"
    assert server.millrace("deploy", "pair-one").stdout == "pair-one: version 1 is deployed\n"


def test_workflows_are_listed_with_filters(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "found.yaml"
    place.write_text(
        "name: found me\ncategory: finance\nowner: ada\nlabels: {team: data, tier: '1'}\ntasks: [{id: a, type: noop}]\n"
    )
    server.millrace("apply", "-f", str(place))
    for arguments in (
        ["--category", "finance"],
        ["--owner", "ada"],
        ["-l", "team:data", "-l", "tier:1"],
        ["-n", "UND M"],
    ):
        assert existing(server, *arguments) == ["found me"], arguments
    assert existing(server, "-l", "team:data", "-l", "tier:2") == []
    lines = server.millrace("workflows", "--owner", "ada").stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "VERSION", "DEPLOYED", "UPDATED"]
    assert lines[1].startswith("found me  active  1")
