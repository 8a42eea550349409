"""W7 (c): linked steps, the expressions of their mappings, and faults in the words of who wrote them."""

from typing import Any

import pytest

from tests.unit.definition.rewriting import changed, place, refusal, refusals, rewritten


def step(agent: Any = "x", after: Any = None, **fields: Any) -> dict[str, Any]:
    return {"agent_name": agent, **({} if after is None else {"next_step": after}), **fields}


def linked(start: Any = "a", **steps: Any) -> dict[str, Any]:
    return {"name": "w", "start_step": start, "steps": steps}


def mapped(value: Any, **fields: Any) -> dict[str, Any]:
    """A chain a → b whose second step maps this."""
    return linked(a=step(after="b"), b=step(input_mapping={"k": value}), **fields)


WHOLE: dict[str, Any] = {
    "name": "Review",
    "description": "Every review",
    "labels": {"team": "legal"},
    "start_step": "read",
    "steps": {
        "decide": {
            "id": "decide",
            "agent_name": "judge",
            "input_mapping": {"text": "steps.read.output.body.text", "day": "input.day", "tone": "'kind'", "most": 3},
        },
        "read": {
            "id": "read",
            "agent_name": "reader",
            "next_step": "decide",
            "input_mapping": {"url": "input.url"},
            "timeout": "30s",
            "retry": {"max_attempts": 2},
        },
    },
}

CANONICAL = {
    "name": "Review",
    "description": "Every review",
    "labels": {"team": "legal"},
    "tasks": [
        {
            "id": "read",
            "type": "agent",
            "config": {"agent": "reader", "input": {"url": "{{ input.url }}"}},
            "timeout": "30s",
            "retry": {"max_attempts": 2},
        },
        {
            "id": "decide",
            "type": "agent",
            "config": {
                "agent": "judge",
                "input": {
                    "text": "{{ tasks.read.output.body.text }}",
                    "day": "{{ input.day }}",
                    "tone": "kind",
                    "most": 3,
                },
            },
            "depends_on": ["read"],
        },
    ],
}


def test_a_whole_chain() -> None:
    assert rewritten(WHOLE) == CANONICAL


def test_the_canonical_form_of_a_chain_is_canonical() -> None:
    assert rewritten(rewritten(WHOLE)) == rewritten(WHOLE)


def test_short_words_may_stand_beside_steps() -> None:
    made = rewritten({**linked(a=step()), "cron_expression": "0 2 * * *", "max_concurrent_runs": 2})
    assert made["triggers"] == [{"id": "cron", "type": "cron", "config": {"expression": "0 2 * * *"}}]
    assert made["concurrency"] == {"limit": 2}


@pytest.mark.parametrize("end", [None, ""])
def test_what_ends_a_chain(end: Any) -> None:
    assert len(rewritten(linked(a=step(next_step=end)))["tasks"]) == 1


def test_ids_that_can_be_no_task_ids() -> None:
    raw = linked("the first", **{"the first": step(after="1"), "1": step(after="b"), "b": step()})
    raw["steps"]["b"]["input_mapping"] = {"k": "steps['the first'].output + steps['1'].output"}
    tasks = rewritten(raw)["tasks"]
    assert [(task["id"], task.get("name")) for task in tasks] == [
        ("the_first", "the first"),
        ("step_1", "1"),
        ("b", None),
    ]
    assert tasks[2]["config"]["input"] == {"k": "{{ tasks.the_first.output + tasks.step_1.output }}"}


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("input.x", "{{ input.x }}"),
        ("  input.x ", "{{ input.x }}"),
        ("steps.a.output", "{{ tasks.a.output }}"),
        ("steps['a'].output[0]", "{{ tasks.a.output[0] }}"),
        ("(steps.a).output", "{{ (tasks.a).output }}"),
        ("has(steps.a.output.x)", "{{ has(tasks.a.output.x) }}"),
        ("steps.a.output + 'steps.a.output'", "{{ tasks.a.output + 'steps.a.output' }}"),
        ("steps.a.output.steps.a", "{{ tasks.a.output.steps.a }}"),
        ("input.steps.a", "{{ input.steps.a }}"),
        ("{'steps': steps.a.output}", "{{ {'steps': tasks.a.output} }}"),
        ("input.rows.map(steps, steps.a)", "{{ input.rows.map(steps, steps.a) }}"),
        ("steps.a.output.filter(x, x != steps.a.status)", "{{ tasks.a.output.filter(x, x != tasks.a.status) }}"),
        ("'a literal'", "a literal"),
        ('"it\'s"', "it's"),
        ("'{{ input.x }}'", "{{{{ input.x }}"),
        ("''", ""),
        (r"'a\n'", r"{{ 'a\n' }}"),
        ("'a' + 'b'", "{{ 'a' + 'b' }}"),
        ("5", "{{ 5 }}"),
        (5, 5),
        (None, None),
        (["{{ input.x }}", {"a": "input.x"}], ["{{{{ input.x }}", {"a": "input.x"}]),
    ],
)
def test_values_of_mappings(value: Any, becomes: Any) -> None:
    assert rewritten(mapped(value))["tasks"][1]["config"]["input"] == {"k": becomes}


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        ("{{ input.x }}", "expression", "write it without braces"),
        ("a {{ input.x }} b", "expression", "write it without braces"),
        ("", "expression", "is empty"),
        ("input.", "expression", "a name after '.'"),
        ("'open", "expression", "never closed"),
        ("steps.c.output", "unknown_name", "there is no step 'c'"),
        ("steps.b.output", "unknown_name", "cannot read its own result"),
        ("steps", "expression", "steps has no value of its own"),
        ("steps[0]", "expression", "a step is read by its id"),
        ("steps[input.x].output", "expression", "a step is read by its id"),
        ("tasks.a.output", "expression", "write steps.ID.output"),
    ],
)
def test_faults_of_expressions(value: Any, code: str, says: str) -> None:
    fault = refusal(mapped(value))
    assert (fault.path, fault.code) == ("steps.b.input_mapping.k", code)
    assert says in f"{fault.message} {fault.remedy}"


def test_a_step_that_runs_later_has_no_output() -> None:
    fault = refusal(linked(a=step(after="b", input_mapping={"k": "steps.b.output"}), b=step()))
    assert (fault.path, fault.code) == ("steps.a.input_mapping.k", "unknown_name")
    assert "does not run before a" in fault.message


@pytest.mark.parametrize(
    ("raw", "path", "code", "says"),
    [
        (linked("x", a=step()), "start_step", "unknown_step", "there is no step 'x'"),
        (linked("reed", read=step()), "start_step", "unknown_step", "did you mean 'read'"),
        (linked(None, a=step()), "start_step", "missing", "such as a"),
        (linked(5, a=step()), "start_step", "type", "the id of a step, not a number"),
        ({"name": "w", "start_step": "a"}, "steps", "missing", "steps is missing"),
        ({"name": "w", "start_step": "a", "steps": []}, "steps", "type", "steps must be a mapping, not a list"),
        ({"name": "w", "start_step": "a", "steps": {}}, "steps", "value", "must not be empty"),
        (linked(a=step(after="x")), "steps.a.next_step", "unknown_step", "there is no step 'x'"),
        (linked(a=step(after=["b"]), b=step()), "steps.a.next_step", "type", "not a list"),
        (linked(a=step(after="a")), "steps.a.next_step", "cycle", "a → a"),
        (linked(a=step(after="b"), b=step(after="c"), c=step(after="b")), "steps.c.next_step", "cycle", "b → c → b"),
        (linked(a=step(), b=step()), "steps.b", "unreachable", "never reached from start_step a"),
        (linked(a=step(id="b")), "steps.a.id", "mismatch", "the id 'b' is not the key of the step, 'a'"),
        (linked(a=step(after="b", id="b"), b=step()), "steps.a.id", "mismatch", "b is the key of another step"),
        (linked(a=step(id=5)), "steps.a.id", "mismatch", "make them the same"),
        (linked(a={}), "steps.a.agent_name", "missing", "agent_name is missing"),
        (linked(a=step(" ")), "steps.a.agent_name", "value", "must not be blank"),
        (linked(a=step(5)), "steps.a.agent_name", "type", "agent_name must be text, not a number"),
        (linked(a="x"), "steps.a", "type", "a step must be a mapping, not text"),
        (linked(a=step(input_mapping=[])), "steps.a.input_mapping", "type", "must be a mapping, not a list"),
        (linked(a=step(depends_on=[])), "steps.a.depends_on", "unknown_field", "next_step says which step follows"),
        (linked(a=step(type="http")), "steps.a.type", "unknown_field", "a step always calls an agent"),
        (linked("a.b", **{"a.b": step(5)}), "steps['a.b'].agent_name", "type", "must be text"),
    ],
)
def test_faults_are_told_in_the_words_of_steps(raw: Any, path: str, code: str, says: str) -> None:
    fault = refusal(raw)
    assert (fault.path, fault.code) == (path, code)
    assert says in f"{fault.message}; {fault.remedy}"


def test_all_faults_are_told_at_once() -> None:
    raw = linked(a=step(5, after="b", input_mapping={"k": "steps.b.output"}), b=step(after="x", id="z"))
    assert [fault.path for fault in refusals(raw)] == [
        "steps.b.next_step",
        "steps.a.agent_name",
        "steps.a.input_mapping.k",
        "steps.b.id",
    ]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("tasks", "steps"),
        ("tasks[0].retry.max_attempts", "steps.read.retry.max_attempts"),
        ("tasks[1].config.agent", "steps.decide.agent_name"),
        ("tasks[1].config.input.day", "steps.decide.input_mapping.day"),
        ("tasks[1].depends_on[0]", "steps.read.next_step[0]"),
        ("labels.team", "labels.team"),
    ],
)
def test_places(path: str, where: str) -> None:
    assert place(WHOLE, path) == where


def test_steps_take_the_place_of_stored_tasks() -> None:
    stored = {"name": "w", "description": "d", "tasks": [{"id": "old", "type": "noop"}]}
    made = changed(stored, {"start_step": "a", "steps": {"a": step()}})
    assert made["description"] == "d"
    assert [task["id"] for task in made["tasks"]] == ["a"]


def test_a_list_of_steps_is_a_slip() -> None:
    assert rewritten({"name": "w", "steps": [{"id": "a"}]}) == {"name": "w", "steps": [{"id": "a"}]}


def test_a_long_chain() -> None:
    raw = linked("s0", **{f"s{n}": step(after=f"s{n + 1}" if n < 4999 else None) for n in range(5000)})
    assert rewritten(raw)["tasks"][-1]["depends_on"] == ["s4998"]
