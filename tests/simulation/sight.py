"""What an expression may see from its place in a run, and what each task may have come to: everything else is a fault.

It knows the plan and what the runners and words of the simulation answer, and nothing of the code that gives them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.core.controls import (
    APPROVAL,
    SUB_WORKFLOW,
    TASKS,
    WAIT_FOR_EVENT,
    Condition,
    ForEach,
    Switch,
    Wait,
    While,
    iterations_around,
)
from millrace.core.plan import Plan, TaskPlan
from millrace.triggers.event import keys_of


def faults_of_names(plan: Plan, reader: str, names: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the names that loops bind, for who stands at `reader`."""
    around = list(iterations_around(reader))
    if not around:
        for name in names.keys() & {"item", "index", "previous"}:
            yield f"{name} is {names[name]!r} outside of all loops"
        return
    loop, index = around[-1]
    if names.get("index") != index:
        yield f"index is {names.get('index')!r}"
    if isinstance(plan.task_at(loop).control, ForEach):
        if names.get("item") != item_of(loop, index):
            yield f"item is {names.get('item')!r}"
    else:
        yield from faults_of_previous(plan, loop, index, names.get("previous"))


def faults_of_previous(plan: Plan, loop: str, index: int, previous: Any) -> Iterator[str]:
    if index > 0 and not _may_be_result(plan, loop, index - 1, previous, exactly=True):
        yield f"previous is {previous!r} in iteration {index} of {loop}"
    elif index == 0 and previous is not None:
        yield f"previous is {previous!r} before {loop} has done anything"


def faults_of_tasks(plan: Plan, reader: str, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """`reader`: where who looks stands, or any place in the same iteration."""
    around = [loop.rpartition(".")[2] for loop, _ in iterations_around(reader)]
    segments = reader.split(".")
    for task_id, seen in tasks.items():
        own = plan.tasks[task_id]
        depth = len(own.loops)
        if list(own.loops) != around[:depth]:
            yield f"{task_id} is seen, which stands in other loops"
            continue
        path = ".".join([*segments[:depth], task_id])
        if "output" in seen and not may_be_output(plan, path, seen["output"]):
            yield f"{seen['output']!r} is the output of {path}"


def item_of(loop: str, index: int) -> dict[str, Any]:
    return {"loop": loop, "number": index}


def result_of(loop: str, index: int) -> dict[str, Any]:
    """What an iteration comes to whose loop says so in a template."""
    return {"result of": f"{loop}[{index}]"}


def may_be_output(plan: Plan, path: str, output: Any) -> bool:
    own = plan.task_at(path)
    match own.control:
        case None:
            return isinstance(output, dict) and output.get("by") == path
        case Condition():
            return output in ({"branch": "then"}, {"branch": "else"})
        case Switch():
            return isinstance(output, dict) and (output.get("case") in {None, *own.control.cases})
        case ForEach():
            return isinstance(output, dict) and _may_be_results(plan, path, output)
        case While():
            return isinstance(output, dict) and _may_be_result(
                plan, path, output["iterations"] - 1, output["result"], exactly=False
            )
        case Wait():
            return _may_come(own, own.control, output)
        case _:
            return output is None


def _may_be_results(plan: Plan, path: str, output: Mapping[str, Any]) -> bool:
    results, failed = output["results"], output["failed"]
    return len(results) == output["count"] and all(
        result is None if index in failed else _may_be_result(plan, path, index, result, exactly=True)
        for index, result in enumerate(results)
    )


def _may_be_result(plan: Plan, loop: str, index: int, result: Any, *, exactly: bool) -> bool:
    """`exactly`: nothing is not enough where there is something."""
    control = plan.task_at(loop).control
    assert isinstance(control, ForEach | While)
    if control.has_result:
        right = None if control.result is None else result_of(loop, index)
        return result == right or (result is None and not exactly)
    last = f"{loop}[{index}].{plan.task_at(loop).blocks[TASKS][-1]}"
    return result is None or may_be_output(plan, last, result)


def _may_come(own: TaskPlan, wait: Wait, output: Any) -> bool:
    if wait.kind == APPROVAL:
        return isinstance(output, dict) and output.keys() == {"approved", "by", "comment", "form", "timed_out"}
    if output in (None, {"timed_out": True}):
        return True
    if wait.kind == SUB_WORKFLOW:
        return isinstance(output["run_id"], str)
    if wait.kind != WAIT_FOR_EVENT or output["timed_out"]:
        return False
    if "signal" in wait.config:
        came = output["signal"]
        return came["name"] == wait.config["signal"] and _passes(wait, came)
    came = output["event"]
    wanted = wait.config["type"] if isinstance(wait.config["type"], list) else [wait.config["type"]]
    right_type = any(key in wanted for key in keys_of(came["type"]))
    return right_type and wait.config.get("key") in (None, came["subject"]) and _passes(wait, came)


def _passes(wait: Wait, came: Mapping[str, Any]) -> bool:
    return wait.filter is None or bool(came["data"]["wanted"])
