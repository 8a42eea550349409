"""Bodies, headers and targets that are too large, too deep or too many to be written down.

A function without arguments makes a body; a case names it under `made`. In the text of a case, `<x*1000>` stands for a
thousand times `x`.
"""

import json
import re
from typing import Any

_REPEATED = re.compile(r"<(.{1,20}?)\*([0-9]{1,8})>", re.DOTALL)

TASK = {"id": "a", "type": "noop"}


def text(written: str) -> str:
    return _REPEATED.sub(lambda found: found[1] * int(found[2]), written)


def value(written: Any) -> Any:
    """A JSON value with all its text, keys included, written out."""
    if isinstance(written, str):
        return text(written)
    if isinstance(written, list):
        return [value(item) for item in written]
    if isinstance(written, dict):
        return {value(key): value(item) for key, item in written.items()}
    return written


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


def _definition(**changed: Any) -> bytes:
    return _body({"name": "corpus", "tasks": [TASK], **changed})


def _nested(levels: int, value: Any = 1) -> Any:
    for _ in range(levels):
        value = [value]
    return value


# --- text that can hardly be read --------------------------------------------------------------------------------


def open_brackets() -> bytes:
    return b"[" * 100_000


def open_mappings() -> bytes:
    return b'{"a":' * 100_000


def long_number() -> bytes:
    return b'{"name": ' + b"9" * 100_000 + b"}"


def long_exponent() -> bytes:
    return b'{"name": "corpus", "metadata": {"n": 1e' + b"9" * 1000 + b'}, "tasks": [{"type": "noop"}]}'


def yaml_deep_flow() -> bytes:
    return b"a: " + b"[" * 100_000


def yaml_deep_block() -> bytes:
    return "\n".join(f"{' ' * level}a:" for level in range(500)).encode()


def yaml_wide_aliases() -> bytes:
    return b"a: &a x\nb: [" + b", ".join([b"*a"] * 50_000) + b"]"


def yaml_long_number() -> bytes:
    return b"name: " + b"9" * 100_000


def yaml_many_documents() -> bytes:
    return b"--- {}\n" * 10_000


def yaml_open_quote() -> bytes:
    return b'name: "' + b"x" * 500_000


def larger_than_allowed() -> bytes:
    return b" " * 2_000_000


# --- definitions --------------------------------------------------------------------------------


def deep_metadata() -> bytes:
    return _definition(metadata={"deep": _nested(80)})


def deep_config() -> bytes:
    return _definition(tasks=[{**TASK, "config": {"value": _nested(80)}}])


def deep_output() -> bytes:
    return _definition(output=_nested(80, "{{ input }}"))


def deep_input_schema() -> bytes:
    schema: Any = {"type": "string"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"a": schema}}
    return _definition(input=schema)


def too_many_tasks() -> bytes:
    return _definition(tasks=[{"type": "noop"} for _ in range(10_001)])


def one_bad_task_among_many() -> bytes:
    return _definition(tasks=[*({"id": f"t{number}", "type": "noop"} for number in range(1_999)), {"id": "bad"}])


def one_bad_reference_among_many() -> bytes:
    tasks = [{"id": f"t{number}", "type": "noop"} for number in range(1_999)]
    return _definition(tasks=[*tasks, {"id": "bad", "type": "log", "config": {"message": "{{ tasks.t.output }}"}}])


def most_tasks_in_a_body() -> bytes:
    return b'{"name": "corpus", "tasks": [' + b"{}," * 340_000 + b"{}]}"


def most_values_in_a_body() -> bytes:
    return b'{"name": "corpus", "metadata": {"n": [' + b"0," * 520_000 + b"18446744073709551616]}}"


def most_mappings_in_a_body() -> bytes:
    return b'{"name": "corpus", "metadata": {"n": [' + b'{"":0},' * 148_000 + b"18446744073709551616]}}"


def _within(kind: str, levels: int, config: Any, name: str = "t") -> bytes:
    """So many tasks in one another, and one in the last."""
    made: dict[str, Any] = {"id": "last", "type": "noop"}
    for level in range(levels):
        made = {"id": f"{name}{level}", "type": kind, "config": config, "tasks": [made]}
    return _definition(tasks=[made])


def twenty_one_groups() -> bytes:
    return _within("sequential", 21, {})


def six_loops() -> bytes:
    return _within("foreach", 6, {"items": []})


def long_path() -> bytes:
    return _within("foreach", 3, {"items": []}, "i" * 190)


def too_many_nested_tasks() -> bytes:
    inner = [{"type": "noop"} for _ in range(5_000)]
    return _definition(tasks=[{"id": f"p{number}", "type": "parallel", "tasks": inner} for number in range(2)])


def too_many_items() -> bytes:
    return _definition(
        tasks=[{"id": "a", "type": "foreach", "config": {"items": [0] * 100_001}, "tasks": [{"type": "noop"}]}]
    )


def most_nested_tasks_in_a_body() -> bytes:
    return b'{"name": "corpus", "tasks": [{"type": "parallel", "tasks": [' + b"{}," * 339_000 + b"{}]}]}"


def most_lists_in_a_body() -> bytes:
    return b'{"name": "corpus", "tasks": [' + b'{"then":[{}],"else":[{}]},' * 9_000 + b"{}]}"


def many_nested_faults() -> bytes:
    """Fields that a type does not take, in tasks that stand in it all the same."""
    kept = {"type": "sleep", "config": {"duration": 1}}
    inner = [{"id": f"t{number}", **kept, "retry": number, "then": number} for number in range(3_000)]
    return _definition(tasks=[{"id": "a", **kept, "tasks": inner}])


def many_reads_into_loops() -> bytes:
    loops = [
        {
            "id": f"l{number}",
            "type": "foreach",
            "config": {"items": []},
            "tasks": [{"id": f"t{number}", "type": "noop"}],
        }
        for number in range(2_000)
    ]
    output = {str(number): f"{{{{ tasks.t{number}.output }}}}" for number in range(2_000)}
    return _definition(tasks=loops, output=output)


def too_many_triggers() -> bytes:
    return _definition(triggers=[{"type": "manual"} for _ in range(101)])


def too_many_finally_tasks() -> bytes:
    return _definition(**{"finally": [{"type": "noop"} for _ in range(101)]})


def many_unknown_fields() -> bytes:
    return _definition(**{f"field_{number}": number for number in range(40_000)})


def many_unknown_task_fields() -> bytes:
    return _definition(tasks=[{**TASK, **{f"field_{number}": number for number in range(20_000)}}])


def many_faulty_tasks() -> bytes:
    return _definition(tasks=[{"id": f"t{number}", "typ": "noop"} for number in range(9_000)])


def many_unknown_types() -> bytes:
    return _definition(tasks=[{"id": f"t{number}", "type": f"noo{number}"} for number in range(9_000)])


def many_duplicate_ids() -> bytes:
    return _definition(tasks=[TASK] * 9_000)


def many_missing_dependencies() -> bytes:
    return _definition(tasks=[{**TASK, "depends_on": [f"t{number}" for number in range(50_000)]}])


def long_cycle() -> bytes:
    tasks = [{"id": f"t{number}", "type": "noop", "depends_on": [f"t{number - 1}"]} for number in range(2_000)]
    tasks[0]["depends_on"] = ["t1999"]
    return _definition(tasks=tasks)


def many_cycles() -> bytes:
    tasks = [{"id": f"t{number}", "type": "noop", "depends_on": [f"t{number ^ 1}"]} for number in range(5_000)]
    return _definition(tasks=tasks)


def dense_cycle() -> bytes:
    ids = [f"t{number}" for number in range(250)]
    return _definition(tasks=[{"id": one, "type": "noop", "depends_on": [i for i in ids if i != one]} for one in ids])


def huge_name() -> bytes:
    return _definition(name="n" * 900_000)


def huge_task_id() -> bytes:
    return _definition(tasks=[{"id": "i" * 500_000, "type": "noop"}])


def huge_task_type() -> bytes:
    return _definition(tasks=[{"id": "a", "type": "t" * 500_000}])


def huge_key() -> bytes:
    return _definition(**{"k" * 500_000: 1})


def huge_duration() -> bytes:
    return _definition(timeout="9" * 500_000 + "s")


def huge_label_list() -> bytes:
    return _definition(labels={f"label{number}": number for number in range(30_000)})


def many_bad_references() -> bytes:
    output = [f"{{{{ tasks.t{number}.output }}}}" for number in range(20_000)]
    return _definition(output=output)


def many_broken_expressions() -> bytes:
    return _definition(output=["{{ 1 + }}"] * 50_000)


# --- other shapes --------------------------------------------------------------------------------


def too_many_nodes() -> bytes:
    return _body({"name": "corpus", "nodes": [{"type": "noop"}] * 40_000})


def too_many_steps() -> bytes:
    return _body({"name": "corpus", "start_step": "s0", "steps": {f"s{n}": {} for n in range(40_000)}})


def too_many_tasks_in_an_envelope() -> bytes:
    return _body({"name": "corpus", "definition": {"tasks": [TASK] * 20_000}})


def many_bad_connections() -> bytes:
    ways = [{"from": f"x{number}", "to": "b"} for number in range(20_000)]
    return _body({"name": "corpus", "nodes": [{"name": "a", "type": "noop"}], "connections": ways})


def long_circle_of_steps() -> bytes:
    steps = {f"s{n}": {"agent_name": "x", "next_step": f"s{(n + 1) % 1_000}"} for n in range(1_000)}
    return _body({"name": "corpus", "start_step": "s0", "steps": steps})


# --- expressions --------------------------------------------------------------------------------


def _expression(source: str) -> bytes:
    return _definition(tasks=[{**TASK, "if": f"{{{{ {source} }}}}"}])


def deep_parentheses() -> bytes:
    return _expression("(" * 1_500 + "1" + ")" * 1_500)


def deep_indexes() -> bytes:
    return _expression("input" + "[0" * 1_000 + "]" * 1_000)


def deep_lists() -> bytes:
    return _expression("[" * 1_500 + "]" * 1_500)


def deep_negation() -> bytes:
    return _expression("!" * 3_500 + "true")


def deep_conditionals() -> bytes:
    return _expression("true ? 1 : " * 350 + "0")


def long_expression() -> bytes:
    return _expression("1 + " * 100_000 + "1")


def long_template() -> bytes:
    return _definition(output="{{ 1 }}" * 50_000)


def never_closed_templates() -> bytes:
    return _definition(output="{{ " * 200_000)


def quadratic_braces() -> bytes:
    return _definition(output="{{{{ }} " * 100_000 + "{{")


def slow_schema_pattern() -> bytes:
    return _definition(input={"type": "object", "properties": {"a": {"type": "string", "pattern": "(" * 5_000}}})


# --- requests --------------------------------------------------------------------------------


def many_unknown_start_fields() -> bytes:
    return _body({f"field_{number}": number for number in range(40_000)})


def huge_start_key() -> bytes:
    return _body({"k" * 500_000: 1})


def deep_run_input() -> bytes:
    return _body({"input": {"a": _nested(80)}})


def very_deep_run_input() -> bytes:
    """Deeper than what makes fingerprints and answers can write."""
    return _body({"input": {"a": _nested(260)}})


def deep_variables() -> bytes:
    return _body({"variables": {"a": _nested(80)}})


def huge_correlation_id() -> bytes:
    return _body({"correlation_id": "c" * 500_000})


def huge_input_keys() -> bytes:
    return _body({"input": {"k" * 100_000 + "\0": 1}})


def huge_secret() -> bytes:
    return _body({"value": "s" * 500_000})


def huge_connection_host() -> bytes:
    config = {"host": "h" * 500_000, "database": "d", "user": "u"}
    return _body({"type": "postgresql", "config": config})


def huge_bulk_labels() -> bytes:
    return _body({"action": "cancel", "filter": {"labels": {f"l{number}": number for number in range(20_000)}}})


def many_bad_states() -> bytes:
    return _body({"action": "cancel", "filter": {"status": ["asleep"] * 50_000}})


def long_cron_expression() -> bytes:
    return _body({"expression": "0 " * 200_000})


def long_cron_list() -> bytes:
    return _body({"expression": ",".join(["0-59/1"] * 150) + " * * * 13"})


def huge_zone() -> bytes:
    return _body({"expression": "0 2 * * *", "timezone": "../" * 100_000})
