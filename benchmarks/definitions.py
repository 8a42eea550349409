"""The workflows that are measured, as definitions that anyone could post."""

from benchmarks.workloads import CHAIN_TASKS, FAN_OUT_TASKS, THROUGHPUT_TASKS
from millrace.core.values import JsonObject, JsonValue


def sequence(name: str, tasks: int) -> JsonObject:
    """No-op tasks, each after the one before."""
    listed: list[JsonValue] = [
        {"id": f"t{number}", "type": "noop", "depends_on": [f"t{number - 1}"] if number else []}
        for number in range(tasks)
    ]
    return {"name": name, "tasks": listed}


def fan_out(name: str, tasks: int) -> JsonObject:
    """No-op tasks side by side, and one after all of them."""
    names: list[JsonValue] = [f"t{number}" for number in range(tasks)]
    listed: list[JsonValue] = [{"id": task, "type": "noop", "depends_on": []} for task in names]
    listed.append({"id": "join", "type": "noop", "depends_on": names})
    return {"name": name, "tasks": listed}


CHAIN = sequence("bench-chain", CHAIN_TASKS)
SEQUENCE = sequence("bench-sequence", THROUGHPUT_TASKS)
SINGLE = sequence("bench-single", 1)
FAN_OUT = fan_out("bench-fan-out", FAN_OUT_TASKS)
ALL = (CHAIN, SEQUENCE, SINGLE, FAN_OUT)
