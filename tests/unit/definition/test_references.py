"""D2: expressions may name only what exists, and what has a value by the time they are evaluated."""

from typing import Any

import pytest

from tests.unit.definition.example import NOOP, accepted, only, task, told, transform, workflow

CLOSED = {"type": "object", "properties": {"day": {"type": "string"}}, "additionalProperties": False}
FETCH = transform("fetch", 1)
OPEN = {"input": {"type": "object", "properties": {"day": {"type": "string"}}}}


def reading(source: str, **fields: Any) -> dict[str, Any]:
    """A task `fetch`, a task `b` that reads, and a task `later`."""
    return workflow(FETCH, transform("b", f"{{{{ {source} }}}}"), task("later"), variables={"region": "eu"}, **fields)


@pytest.mark.parametrize(
    ("source", "says", "remedy"),
    [
        ("inptu.day", "'inptu' is not defined; did you mean 'input'?", "input, variables, tasks"),
        ("fetch.output", "'fetch' is not defined", "fetch is a task: write tasks.fetch.output"),
        ("fetched.output", "'fetched' is not defined", "put text in quotes"),
        ("steps.fetch.output", "'steps' is not defined; did you mean 'tasks'?", "input, variables, tasks"),
        ("tasks.fetch.result", "a task has no 'result'; did you mean 'output'?", "tasks.fetch.output.result"),
        ("input.day | upper", "'|' has no meaning here", "there are no filters: write upper(x)"),
        ("input.day = 1", "'=' has no meaning here", "write == to compare"),
        ("input.day and input.x", "'and' stands where", "write && for and"),
        ("not input.day", "'input' stands where", "write ! for not"),
        ("tasks.FETCH.output", "there is no task 'FETCH'; did you mean 'fetch'?", "name a task"),
        ("tasks.fetsh.output", "there is no task 'fetsh'; did you mean 'fetch'?", "name a task"),
        ("tasks.fetch.body", "a task has no 'body'", "tasks.fetch.output.body"),
        ("tasks.fetch.outptu", "a task has no 'outptu'; did you mean 'output'?", "output"),
        ("tasks.later.output", "b does not wait for later, which comes after it", "let later come before it"),
        ("tasks.b.output", "a task cannot read its own result", "another task"),
        ("tasks.tell.output", "it runs in `on_failure`, later than this", "another task"),
        ("tasks[0].output", "by its id, not by a number", "tasks.ID"),
        ("variables.regoin", "there is no variable 'regoin'; did you mean 'region'?", "declare it under `variables`"),
        ("run.stauts", "there is no field of run 'stauts'; did you mean 'status'?", "workflow"),
        ("secrets", "a secret is read by its name", "secrets.NAME"),
        ("item.id", "item has a value inside a loop only", "put the task into the `tasks` of a foreach"),
        ("index", "index has a value inside a loop only", "put the task into the `tasks` of a foreach or a while"),
        ("previous", "previous has a value inside a loop only", "put the task into the `tasks` of a while"),
        ("event.data", "event has a value in the `filter`", "write trigger.event for what started the run"),
        ("upercase(input.day)", "there is no function upercase()", "table of functions"),
        ("input.day +", "the end stands where a value is expected", ""),
        ("[1].map(x, tasks.fetsh)", "there is no task 'fetsh'", ""),
    ],
)
def test_what_an_expression_cannot_name(source: str, says: str, remedy: str) -> None:
    fault = only(reading(source, on_failure=[task("tell")]))
    assert fault.path == "tasks[1].config.output"
    assert says in fault.message
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    "source",
    [
        "tasks.fetch.output",
        "tasks['fetch'].status",
        "tasks.fetch.error.message",
        "tasks[input.which].output",
        "default(tasks.later.output, 1)",
        "has(tasks.later.output)",
        "default(variables.undeclared, 1)",
        "has(variables.undeclared)",
        "input.anything.at.all",
        "trigger.body.day",
        "run.workflow.name + run.id",
        "secrets.token",
        "variables.region",
        "size(tasks) + size(variables)",
    ],
)
def test_what_an_expression_can_name(source: str) -> None:
    accepted(reading(source))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("input.day", None),
        ("default(input.hour, 1)", None),
        ("input.hour", "unknown_name"),
        ("input['day of week']", "unknown_name"),
    ],
)
def test_a_closed_input_schema_declares_all_inputs(source: str, code: str | None) -> None:
    raw = reading(source, input=CLOSED)
    assert told(raw) == ([] if code is None else [("tasks[1].config.output", code)])
    assert told(reading(source, **OPEN)) == []
    assert told(reading(source, input={**CLOSED, "patternProperties": {"^h": {}, " ": {}}})) == []


def test_the_fault_names_the_declared_inputs() -> None:
    fault = only(reading("input.dya", input=CLOSED))
    assert "there is no input 'dya'; did you mean 'day'?" in fault.message
    assert "input.properties" in fault.remedy


def test_ancestors_are_found_through_the_graph() -> None:
    tasks = [
        transform("a", 1),
        task("b", depends_on=["a"]),
        task("c", depends_on=[]),
        transform("d", "{{ tasks.a.output }}", depends_on=["b"]),
        transform("e", "{{ tasks.c.output }}", depends_on=["d"]),
    ]
    assert told(workflow(*tasks)) == [("tasks[4].config.output", "unknown_name")]
    tasks[4]["depends_on"] = ["d", "c"]
    assert told(workflow(*tasks)) == []


@pytest.mark.parametrize(
    ("reader", "source", "fine"),
    [
        ("on_failure", "tasks.main.error", True),
        ("on_failure", "tasks.cleanup.status", False),
        ("finally", "tasks.main.output", True),
        ("finally", "tasks.tell.status", True),
        ("tasks", "tasks.tell.status", False),
    ],
)
def test_handlers_read_what_went_before_them(reader: str, source: str, fine: bool) -> None:
    raw: dict[str, Any] = workflow(task("main"), on_failure=[task("tell")], finally_=None)
    raw.pop("finally_")
    raw["finally"] = [task("cleanup")]
    raw[reader] = [*raw[reader], transform("reads", f"{{{{ {source} }}}}")]
    assert told(raw) == ([] if fine else [(f"{reader}[1].config.output", "unknown_name")])


@pytest.mark.parametrize(
    ("source", "fine"),
    [("tasks.main.output", True), ("tasks.tell.output", False), ("secrets.token", False), ("variables.x", False)],
)
def test_the_output_reads_tasks_of_the_main_part(source: str, fine: bool) -> None:
    raw = workflow(task("main"), on_failure=[task("tell")], output={"deep": [f"{{{{ {source} }}}}"]})
    assert told(raw) == ([] if fine else [("output.deep[0]", "unknown_name")])


def test_secrets_are_for_configs_only() -> None:
    fault = only(workflow(task("a", if_="{{ secrets.token == 'x' }}")))
    assert (fault.path, fault.code) == ("tasks[0].if", "unknown_name")
    assert "secrets can be read in the `config` of tasks only" in fault.message


@pytest.mark.parametrize(
    "condition", [True, False, "{{ tasks.fetch.output == 1 }}", "  {{ true }}", "{{ {'a': {'b': 1}}.a.b == 1 }}"]
)
def test_conditions(condition: Any) -> None:
    whole = not isinstance(condition, str) or condition.startswith("{{")
    assert told(workflow(FETCH, task("b", if_=condition))) == ([] if whole else [("tasks[1].if", "condition")])


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{{{ inptu.day }}",
        "{ input.day }",
        "{{ 'a' }} and {{ \"}}\" }}",
        "a {{{{ and {{ input.day }}",
    ],
)
def test_literal_braces(text: str) -> None:
    accepted(workflow(transform("a", text)))


@pytest.mark.parametrize("text", ["{{", "{{ }}", "{{ 'a }}", "{{ input.day", "ok {{ input.day }} {{ }}"])
def test_broken_templates(text: str) -> None:
    assert told(workflow(transform("a", [text]))) == [("tasks[0].config.output[0]", "expression")]


def test_expressions_are_found_at_any_depth_and_keys_are_none() -> None:
    raw = workflow(transform("a", {"{{ nonsense": [{"X-A b": ["{{ variables.x }}"]}]}))
    assert told(raw) == [("tasks[0].config.output['{{ nonsense'][0]['X-A b'][0]", "unknown_name")]


# --- text that goes to an interpreter ---

SQL = {"connection_string": "sqlite:////tmp/a.db"}


@pytest.mark.parametrize(
    "text",
    [
        "select 1 where a = {{ input.day }}",
        "select '{{ input.day }}'",
        "select '{{tasks.fetch.output}}'",
        "select '{{ secrets.token }}'",
        "select '{{ variables.region }}', '{{ .Other }}'",
        "select '{{ .Other', '{{ trigger.time }}'",
        "select '{{ input.day }}', '{{'",
        "select {{ upper(run.id) }}",
        "select {{ item }}",
        "select {{ input.day | upper }}",
    ],
)
def test_text_for_an_interpreter_is_no_template(text: str) -> None:
    database = only(workflow(FETCH, task("b", "database", config={**SQL, "sql": text}), variables={"region": 1}))
    assert (database.path, database.code) == ("tasks[1].config.sql", "literal_text")
    assert "sql is handed over as it is written" in database.message
    assert "parameters" in database.remedy
    shell = only(workflow(FETCH, task("b", "shell", config={"command": text})))
    assert (shell.path, shell.code) == ("tasks[1].config.command", "literal_text")
    assert "env" in shell.remedy
    assert "stdin" in shell.remedy
    script = only(workflow(FETCH, task("b", "script", config={"language": "bash", "source": text})))
    assert (script.path, script.code) == ("tasks[1].config.source", "literal_text")
    assert script.remedy == "hand the value over in `input` or `env`"


@pytest.mark.parametrize(
    "text",
    [
        "docker ps --format '{{.Names}}'",
        "docker ps --format '{{json .}}'",
        "echo '{{ ansible_facts }}' '{{'",
        "echo {{{{ input.day }}}}",
        "echo '{{ 1 + 1 }}' }}",
        "echo '{{ \"input.day\" }}'",
        "awk '{{print $1}}'",
    ],
)
def test_other_braces_for_an_interpreter_are_literal(text: str) -> None:
    accepted(workflow(task("b", "shell", config={"command": text})))
    accepted(workflow(task("b", "script", config={"language": "node", "source": text})))
    accepted(workflow(task("b", "database", config={**SQL, "sql": text})))


def test_a_list_of_arguments_is_a_template() -> None:
    accepted(workflow(task("b", "shell", config={"command": ["echo", "{{ input.day }}"]})))
    raw = workflow(task("b", "shell", config={"command": ["echo", "{{ variables.x }}"]}))
    assert told(raw) == [("tasks[0].config.command[1]", "unknown_name")]


def test_the_other_fields_of_such_a_task_are_templates() -> None:
    config = {"command": "echo $DAY", "env": {"DAY": "{{ variables.x }}"}}
    assert told(workflow(NOOP, task("b", "shell", config=config))) == [("tasks[1].config.env.DAY", "unknown_name")]


# --- what a task reads of those that it stands in ---


def looping(source: str, *, loop: str = "foreach") -> dict[str, Any]:
    """A task that reads in a loop `inner`, of the given type, in a foreach `each` in a while `rounds`."""
    config: dict[str, Any] = {"items": [1]} if loop == "foreach" else {"condition": "{{ index < 1 }}"}
    inner = task("inner", loop, config=config, tasks=[transform("reads", f"{{{{ {source} }}}}")])
    each = task("each", "foreach", config={"items": [1]}, tasks=[task("before"), inner])
    return workflow(task("rounds", "while", config={"condition": "{{ index < 1 }}"}, tasks=[each]), task("later"))


@pytest.mark.parametrize(
    "source",
    [
        "tasks.each.item.id",
        "tasks.each.index + tasks.inner.index",
        "tasks['each'].item",
        "tasks.rounds.previous",
        "tasks.rounds.index",
        "default(tasks.rounds.previous.next, 1)",
    ],
)
def test_in_a_loop_those_around_it_are_read_by_their_ids(source: str) -> None:
    accepted(looping(source))


@pytest.mark.parametrize(
    ("source", "says", "remedy"),
    [
        ("tasks.each.output", "reads stands in it, and it ends later", "tasks.each.item or tasks.each.index"),
        ("tasks.each.status", "reads stands in it, and it ends later", "tasks.each.item or tasks.each.index"),
        ("tasks.each", "reads stands in it, and it ends later", "tasks.each.item or tasks.each.index"),
        ("tasks.rounds.item", "a task has no 'item'", "tasks.rounds.output.item"),
        ("tasks.each.previous", "a task has no 'previous'", "tasks.each.output.previous"),
        ("tasks.each.itme", "a task has no 'itme'; did you mean 'item'?", ""),
        ("tasks.before.item", "a task has no 'item'", "tasks.before.output.item"),
        ("previous", "previous has no value in a foreach such as inner", "write tasks.rounds.previous"),
    ],
)
def test_what_is_not_known_of_a_loop_before_it_ends(source: str, says: str, remedy: str) -> None:
    fault = only(looping(source))
    assert fault.code == "unknown_name"
    assert says in fault.message
    assert remedy in fault.remedy


def test_a_name_of_an_outer_loop_is_told_with_the_name_of_that_loop() -> None:
    fault = only(looping("item.id", loop="while"))
    assert "item has no value in a while such as inner, the innermost loop around this" in fault.message
    assert fault.remedy == "write tasks.each.item"


def test_outside_of_a_loop_its_names_have_no_value() -> None:
    each = task("each", "foreach", config={"items": [1]}, tasks=[NOOP])
    fault = only(workflow(each, transform("reads", "{{ tasks.each.item }}")))
    assert "item of each has a value in the tasks of that loop only" in fault.message
    assert fault.remedy == "read tasks.each.output: what its iterations came to"


WAITS = {"wait_for_event": {"signal": "go_on"}, "approval": {"message": "Publish?"}}


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize("block", ["then", "else"])
def test_what_follows_a_wait_reads_what_came(kind: str, block: str) -> None:
    inner = task("only_if", "condition", config={"if": True}, then=[transform("reads", "{{ tasks.ask.output }}")])
    accepted(workflow(task("ask", kind, config=WAITS[kind], timeout="1h", **{block: [inner]})))


@pytest.mark.parametrize("source", ["tasks.ask.status", "tasks.ask.error.message", "tasks.ask"])
def test_a_wait_around_the_reader_has_its_output_alone(source: str) -> None:
    ask = task("ask", "approval", config={"message": "Publish?"}, then=[transform("reads", f"{{{{ {source} }}}}")])
    fault = only(workflow(ask))
    assert "reads stands in it, and it ends later" in fault.message
    assert fault.remedy == "what it knows before is tasks.ask.output"


def test_a_condition_around_the_reader_has_nothing_to_be_read() -> None:
    only_if = task("only_if", "condition", config={"if": True}, then=[transform("reads", "{{ tasks.only_if.output }}")])
    assert "reads stands in it, and it ends later" in only(workflow(only_if)).message


@pytest.mark.parametrize(
    "source",
    [
        "secrets.token",
        "'Bearer ' + secrets.token",
        "input.day == 'x' ? secrets.token : secrets['other']",
        "[secrets.token, {'a': string(secrets.token)}]",
        "default(secrets.token, '')",
    ],
)
def test_a_secret_is_handed_over_whole(source: str) -> None:
    accepted(workflow(transform("a", f"{{{{ {source} }}}}")))


@pytest.mark.parametrize(
    "source",
    [
        "secrets.token.split('-')",
        "upper(secrets.token)",
        "secrets.token < 'm' ? 1 : 2",
        "size('x' + secrets.token)",
        "[secrets.token].map(x, x.replace('a', 'b'))",
        "{'a': secrets.token}['a'].startsWith('q')",
        "input[secrets.token]",
        "default(input.none, secrets.token.matches('^q'))",
        "!(secrets.token in ['a'])",
    ],
)
def test_nothing_is_computed_of_a_secret(source: str) -> None:
    """Of the rendered input, which is shown, the value alone is masked, and not what it was made into."""
    fault = only(workflow(transform("a", f"{{{{ {source} }}}}")))
    assert "computed of the secret 'token'" in fault.message
    assert "hand it over whole" in fault.remedy
