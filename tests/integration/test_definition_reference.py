"""docs/definitions.md: every example is run on a real Millrace and ends as the page says; every field has an example.
docs/shapes.md: so are those of its examples that say what comes of a run.

Behind an example stand its runs (`tests.support.told_runs`). Of limits the examples say what becomes of runs that are
under way together: `# at once INPUT, … -> STATUS, …`, in the order in which they are started, before the service that
their tasks ask answers. A status may be `refused CODE`, or tell what a run has waited for: `completed after REASON`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from millrace.definition import CONTROL_CONFIGS, model, read_yaml
from tests.support.documents import REPOSITORY, blocks_of
from tests.support.outside import TOKEN, Outside, outside_world
from tests.support.server import MillraceProcess, until, wait_finished
from tests.support.told_runs import ToldRun, check_run, told_runs

PAGE = REPOSITORY / "docs" / "definitions.md"
SHAPES = REPOSITORY / "docs" / "shapes.md"
LANGUAGE = REPOSITORY / "examples" / "language"
AGENTS = REPOSITORY / "docs" / "how-to" / "agents.md"
"""Other tests execute these. What they have examples of needs none on the page."""
FATE = r"(?:completed|cancelled)(?: after \w+)?|refused \w+"
TOGETHER = re.compile(rf"^# at once (?P<inputs>\{{.*\}}) -> (?P<fates>(?:{FATE})(?:, (?:{FATE}))*)$", re.MULTILINE)
PARTS: dict[str, type[BaseModel]] = {
    "workflow": model.Canonical,
    "concurrency": model.Concurrency,
    "rate_limit": model.RateLimit,
    "retention": model.Retention,
    "defaults": model.Defaults,
    "trigger": model.Trigger,
    "task": model.MainTask,
    "retry": model.Retry,
    "concurrency of a task": model.TaskConcurrency,
}


@dataclass(frozen=True)
class Example:
    place: str
    text: str
    runs: list[ToldRun]
    together: list[tuple[list[dict[str, Any]], list[str]]]
    """Inputs of runs that are started at once, and what becomes of each."""

    @property
    def definition(self) -> Any:
        return read_yaml(self.text)


def examples(page: Path = PAGE) -> list[Example]:
    """The definitions of a page, each with the runs that stand in it or behind it."""
    blocks = blocks_of(page)
    lines = page.read_text("utf-8").splitlines()
    found = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language in ("yaml", "json"):
            until = following.line if following else len(lines)
            said = "\n".join(lines[block.line - 1 : until])
            together = [
                (json.loads(f"[{match['inputs']}]"), match["fates"].split(", ")) for match in TOGETHER.finditer(said)
            ]
            found.append(Example(block.place, block.text, told_runs(said), together))
    return found


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside_world(tmp_path_factory.mktemp("outside")) as world:
        yield world


@pytest.fixture(scope="module")
def server(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    """A server with the secrets and connections that the examples name."""
    settings = {**outside.settings, "MILLRACE_SQLITE_ALLOWED_DIRS": str(outside.folder)}
    chat = f"{outside.names['https://chat.example.com']}/hooks/T0aB1cD2eF3"
    with MillraceProcess(tmp_path_factory.mktemp("server") / "home", **settings) as running:
        for name, value in {"orders_api": TOKEN, "team_chat": chat}.items():
            running.millrace("secrets", "set", name, input=value)
        for name, kind, config in (
            ("shop", "sqlite", {"path": f"{outside.folder}/var/lib/shop/shop.db"}),
            ("orders", "http", {"url": outside.names["https://api.example.com"],
                                "auth": {"type": "bearer", "token": TOKEN}}),
            ("mail", "smtp", {"host": "127.0.0.1", "port": outside.mail.port, "tls": "none"}),
            ("team-chat", "http", {"webhook_url": chat}),
        ):  # fmt: skip
            running.millrace("connections", "set", name, "-t", kind, "--file", "-", input=json.dumps(config))
        yield running


@pytest.mark.parametrize(
    "example",
    [*examples(), *(example for example in examples(SHAPES) if example.runs)],
    ids=lambda example: example.place.rpartition("/")[2],
)
def test_an_example_does_what_the_page_says(example: Example, server: MillraceProcess, outside: Outside) -> None:
    assert example.runs or example.together, f"{example.place}: say what comes of it: # run INPUT -> STATUS …"
    text = example.text
    for documented, local in outside.names.items():
        text = text.replace(documented, local)
    with server.client() as client:
        headers = {"Content-Type": "application/yaml"}
        created = client.post("/workflows", content=text.encode(), headers=headers)
        assert created.status_code == 201, f"{example.place}: {created.text}"
        for run in example.runs:
            check_run(run, client, created.json()["id"], example.place)
        for inputs, fates in example.together:
            assert fates_of(inputs, fates, client, created.json()["id"], outside) == fates, example.place


def fates_of(
    inputs: list[dict[str, Any]], fates: list[str], client: httpx2.Client, workflow: str, outside: Outside
) -> list[str]:
    """Start the runs while the outside world gives no answer; each is where it belongs before the next is started."""
    outside.open.clear()
    try:
        starts = []
        for given, fate in zip(inputs, fates, strict=True):
            started = client.post(f"/workflows/{workflow}/execute", json={"input": given}).json()
            starts.append(started)
            if "id" in started:
                until(partial(has_begun, client, started["id"], fate.partition(" after ")[2]))
    finally:
        outside.open.set()
    return [
        f"{wait_finished(client, started['id'])['status']}{''.join(fate.partition(' after ')[1:])}"
        if "id" in started
        else f"refused {started['code']}"
        for started, fate in zip(starts, fates, strict=True)
    ]


def has_begun(client: httpx2.Client, run: str, reason: str) -> bool:
    """Whether the run is under way; or, with a reason to wait, whether it waits for that."""
    shown = client.get(f"/runs/{run}").json()
    return reason in {entry["reason"] for entry in shown["waiting_for"]} if reason else shown["status"] == "running"


def used() -> dict[str, set[str]]:
    """The fields that the examples give a value, by the part of a definition that they belong to."""
    found: dict[str, set[str]] = {name: set() for name in PARTS}
    of_the_language = [read_yaml(path.read_text("utf-8")) for path in LANGUAGE.glob("*.yaml")]
    for definition in [
        *(example.definition for page in (PAGE, AGENTS) for example in examples(page)),
        *of_the_language,
    ]:
        if "task_type" in definition["tasks"][0]:
            continue
        found["workflow"] |= set(definition)
        for name in ("concurrency", "rate_limit", "retention", "defaults"):
            found[name] |= set(definition.get(name, {}))
        found["retry"] |= set(definition.get("defaults", {}).get("retry", {}))
        for trigger in definition.get("triggers", []):
            found["trigger"] |= set(trigger)
        for task in tasks_of(definition):
            found["task"] |= set(task)
            found["retry"] |= set(task.get("retry", {}))
            found["concurrency of a task"] |= set(task.get("concurrency", {}))
            found.setdefault(f"config of {task['type']}", set()).update(task.get("config", {}))
    return found


def tasks_of(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The tasks in the lists of a definition, or of a task."""
    for name in ("tasks", "on_failure", "finally", "on_rollback", "then", "else", "default"):
        for task in part.get(name, []):
            yield task
            yield from tasks_of(task)
    yield from (one for tasks in part.get("cases", {}).values() for one in tasks_of({"tasks": tasks}))


def test_every_field_has_an_example() -> None:
    models = dict(PARTS)
    for point in entry_points(group="millrace.runners"):
        module, _, attribute = point.value.partition(":")
        models[f"config of {point.name}"] = getattr(import_module(module), attribute).config_model
    models |= {f"config of {name}": config for name, config in CONTROL_CONFIGS.items()}
    found = used()
    missing = {
        part: sorted({field.alias or name for name, field in fields.model_fields.items()} - found.get(part, set()))
        for part, fields in models.items()
    }
    assert {part: names for part, names in missing.items() if names} == {}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"all_success", "all_done", "one_success", "one_failed"}, id="join"),
        pytest.param({"queue", "skip", "cancel_oldest", "cancel_newest"}, id="when_full"),
        pytest.param({"basic", "bearer", "api_key", "oauth2_client_credentials"}, id="auth"),
        pytest.param({"python", "node", "bash"}, id="script"),
    ],
)
def test_every_choice_has_an_example(values: set[str]) -> None:
    shown = "\n".join(example.text for example in examples())
    assert {value for value in values if not re.search(rf"\b{value}\b", shown)} == set()
