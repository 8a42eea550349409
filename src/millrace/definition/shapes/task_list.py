"""The task-list shape: `{"name", "cron_expression", "tasks": [{"name", "task_type", "config", "order_index"}]}`.

Tasks run one after another by `order_index`; ids are made from names. Everything that has a canonical form gets it
here; what has none is passed on, so that it is reported as the unknown field it is.

A request that changes a workflow arrives merged with what is stored, which is canonical. So `cron_expression` and
`max_concurrent_runs` are read beside canonical tasks, too, and change the trigger and the limit that they once made.
"""

from typing import Any, TypeGuard

from millrace.core.controls import CONTROL_TYPES
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList
from millrace.definition.names import numbered, task_id_from
from millrace.definition.shapes.rewritten import Places
from millrace.definition.structure import shown

DEFAULT_TIMEOUT_SECONDS = 300
DEFAULT_MAX_CONCURRENT_RUNS = 1
MOST_RETRIES = 999
CRON_ID = "cron"

CONFIG_NAMES = {"env_vars": "env"}

CRON, LIMIT = "cron_expression", "max_concurrent_runs"


def is_task_list(raw: JsonObject) -> bool:
    tasks = raw.get("tasks")
    return isinstance(tasks, list) and any(isinstance(task, dict) and "task_type" in task for task in tasks)


def from_task_list(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places]:
    """The canonical shape of `raw`, and where its parts stand in `raw`."""
    canonical: JsonObject = {key: value for key, value in raw.items() if key not in ("tasks", "is_active", CRON, LIMIT)}
    if raw.get("concurrency") is None:
        canonical["concurrency"] = {"limit": DEFAULT_MAX_CONCURRENT_RUNS}
    places = _add_short_words(raw, canonical)
    tasks = raw["tasks"]
    assert isinstance(tasks, list), "is_task_list has seen the list"  # noqa: S101
    order = _ordered(tasks, faults)
    ids = _ids([tasks[position] for position in order])
    canonical["tasks"] = [
        _task(tasks[position], ids[place], f"tasks[{position}]", f"tasks[{place}]", places, faults)
        for place, position in enumerate(order)
    ]
    return canonical, places


def with_short_words(raw: JsonObject) -> tuple[JsonObject, Places]:
    """`raw`, whose tasks are canonical, with the canonical form of the words of this shape that stand beside them."""
    if CRON not in raw and LIMIT not in raw:
        return raw, {}
    canonical: JsonObject = {key: value for key, value in raw.items() if key not in (CRON, LIMIT)}
    return canonical, _add_short_words(raw, canonical)


def without_taken_out(stored: JsonObject, given: JsonObject) -> JsonObject:
    """What is stored, without what the nulls of a request take out: the trigger that `cron_expression` made, and a
    limit other than the default of `max_concurrent_runs`. Where there is no limit, null makes none."""
    left = dict(stored)
    triggers = left.get("triggers")
    if given.get(CRON, "") is None and isinstance(triggers, list):
        left["triggers"] = [trigger for trigger in triggers if not _is_cron(trigger)] or None
    if given.get(LIMIT, "") is None and isinstance(left.get("concurrency"), dict):
        left["concurrency"] = _limited(left["concurrency"], DEFAULT_MAX_CONCURRENT_RUNS)
    return left


def _add_short_words(raw: JsonObject, canonical: JsonObject) -> Places:
    """Add the limit and the trigger that the short words stand for. A trigger of the same id is changed or replaced,
    others stay."""
    places: Places = {}
    limit, expression, triggers = raw.get(LIMIT), raw.get(CRON), raw.get("triggers") or []
    if limit is not None:
        canonical["concurrency"] = _limited(raw.get("concurrency"), limit)
        places["concurrency.limit"] = LIMIT
    if expression is not None and isinstance(triggers, list):
        others = [trigger for trigger in triggers if not (isinstance(trigger, dict) and trigger.get("id") == CRON_ID)]
        made: JsonObject = next((trigger for trigger in triggers if _is_cron(trigger)), {"id": CRON_ID, "type": "cron"})
        config = made.get("config")
        config = {**(config if isinstance(config, dict) else {}), "expression": expression}
        canonical["triggers"] = [*others, {**made, "config": config}]
        places[f"triggers[{len(others)}].config.expression"] = CRON
    return places


def _is_cron(trigger: JsonValue) -> TypeGuard[JsonObject]:
    """Whether a trigger is the one that `cron_expression` makes."""
    return isinstance(trigger, dict) and trigger.get("id") == CRON_ID and trigger.get("type") == "cron"


def _limited(concurrency: JsonValue, limit: JsonValue) -> JsonObject:
    return {**(concurrency if isinstance(concurrency, dict) else {}), "limit": limit}


def _ordered(tasks: list[Any], faults: FaultList) -> list[int]:
    """Positions in the order of `order_index`; without one a task stays where it is listed."""
    seen: dict[object, int] = {}
    keys: list[tuple[float, int]] = []
    for position, task in enumerate(tasks):
        index = task.get("order_index") if isinstance(task, dict) else None
        path = f"tasks[{position}].order_index"
        if index is None:
            keys.append((position, position))
            continue
        if isinstance(index, bool) or not isinstance(index, int):
            faults.add(path, "type", "order_index must be a whole number", "number the tasks 0, 1, 2, …")
            index = position
        elif index in seen:
            message = f"order_index {index} is also that of {faults.place(f'tasks[{seen[index]}]')}"
            faults.add(path, "duplicate", message, "give each task an order_index of its own")
        seen.setdefault(index, position)
        keys.append((index, position))
    return [position for _, position in sorted(keys)]


def _ids(tasks: list[Any]) -> list[str]:
    """An id for each task, from its name; the second of the same name gets `_2`."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    ids = []
    for number, task in enumerate(tasks, 1):
        name = task.get("name") if isinstance(task, dict) else None
        base = task_id_from(name) if isinstance(name, str) and name.strip() else f"task_{number}"
        ids.append(numbered(base, taken, counts))
    return ids


def _task(task: JsonValue, task_id: str, original: str, path: str, places: Places, faults: FaultList) -> JsonValue:
    places[path] = original
    if not isinstance(task, dict):
        return task
    renamed = ("task_type", "config", "order_index", "retry_count", "timeout_seconds")
    made: JsonObject = {"id": task_id, **{key: value for key, value in task.items() if key not in renamed}}
    kind = task.get("task_type")
    if "task_type" in task:
        made["type"] = kind = kind.lower() if isinstance(kind, str) else kind
    made["config"] = _config(kind, task.get("config"), f"{path}.config", f"{original}.config", places)
    timeout = task.get("timeout_seconds")
    if timeout is not None or not (isinstance(kind, str) and kind in CONTROL_TYPES):
        made["timeout"] = DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout
    places |= {f"{path}.type": f"{original}.task_type", f"{path}.timeout": f"{original}.timeout_seconds"}
    retries = task.get("retry_count")
    retries = 0 if retries is None else retries
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MOST_RETRIES:
        faults.add(
            f"{original}.retry_count", "value",
            f"retry_count cannot be {shown(retries)}", f"write a whole number from 0 to {MOST_RETRIES}",
        )  # fmt: skip
    elif retries:
        made["retry"] = {"max_attempts": retries + 1}
    return made


def _config(kind: JsonValue, config: JsonValue, path: str, original: str, places: Places) -> JsonValue:
    if not isinstance(config, dict):
        return {} if config is None else config
    made: JsonObject = {CONFIG_NAMES.get(key, key): value for key, value in config.items() if value is not None}
    places |= {f"{path}.{new}": f"{original}.{old}" for old, new in CONFIG_NAMES.items() if old in config}
    if kind == "http" and isinstance(made.get("body"), dict | list):
        # In this shape a body is what is sent, also one such as {"text": …}, which says something else canonically.
        made["body"] = {"json": made["body"]}
        places[f"{path}.body.json"] = f"{original}.body"
    return made
