"""W7 (e): graphs of nodes: their triggers, what other nodes become, connections, branches, and what is refused."""

from typing import Any

import pytest

from millrace.core.plan import Phase
from tests.unit.definition.example import accepted, canonical, only, plan
from tests.unit.definition.rewriting import changed, place, refusal, refusals, rewritten

START = {"name": "Start", "node_type": "TRIGGER_NODE", "subtype": "TRIGGER_MANUAL"}


def node(name: Any, kind: str = "NOOP", /, **fields: Any) -> dict[str, Any]:
    parameters = {"HTTP_REQUEST": {"url": "https://example.com"}, "SHELL": {"command": "true"}}.get(kind)
    given = {} if parameters is None else {"parameters": parameters}
    return {"name": name, "node_type": kind, **given, **fields}


def branch(name: str, asked: Any = "input.x > 1") -> dict[str, Any]:
    return node(name, "IF", parameters={"condition": asked})


def graph(*nodes: Any, edges: Any = None, **fields: Any) -> dict[str, Any]:
    """`edges`: `a>b`, `if>b:true`; or connections as they are."""
    if isinstance(edges, str):
        edges = [edge(text) for text in edges.split()]
    given = {} if edges is None else {"connections": edges}
    return {"name": "w", "nodes": list(nodes), **given, **fields}


def edge(text: str) -> dict[str, Any]:
    ways, _, output = text.partition(":")
    source, _, target = ways.partition(">")
    return {"from": source, "to": target, **({"output": output} if output else {})}


def task_of(raw: Any) -> dict[str, Any]:
    (made,) = rewritten(raw)["tasks"]
    assert isinstance(made, dict)
    return made


def trigger(subtype: Any, **parameters: Any) -> dict[str, Any]:
    starts = {"node_type": "TRIGGER_NODE", "subtype": subtype, "parameters": parameters}
    (made,) = rewritten(graph(starts, node("a")))["triggers"]
    assert isinstance(made, dict)
    return made


WHOLE: dict[str, Any] = {
    "name": "Orders",
    "description": "Every order",
    "nodes": [
        {
            "id": "nightly",
            "name": "Every night",
            "node_type": "TRIGGER_NODE",
            "subtype": "TRIGGER_CRON",
            "parameters": {"cron_expression": "0 2 * * *", "timezone": "Europe/Berlin"},
            "position": {"x": 0, "y": 0},
        },
        {
            "id": "7f9c-1",
            "name": "Fetch orders",
            "node_type": "ACTION_NODE",
            "subtype": "HTTP_REQUEST",
            "parameters": {"url": "https://example.com/orders", "http_method": "GET", "query_params": {"a": 1}},
            "retry": {"max_attempts": 3},
            "timeout": 30,
        },
        {
            "name": "Many?",
            "node_type": "FLOW_NODE",
            "subtype": "FLOW_IF",
            "parameters": {"condition": "size(tasks.fetch_orders.output.body) > 10"},
        },
        {"name": "Load", "node_type": "SHELL", "parameters": {"command": "load", "env_vars": {"A": "b"}}},
        {"name": "Skip", "type": "log", "parameters": {"message": "few"}},
        {"name": "Done", "type": "MERGE"},
    ],
    "connections": {
        "Every night": {"main": [[{"node": "Fetch orders", "type": "main", "index": 0}]]},
        "Fetch orders": {"main": [[{"node": "Many?", "type": "main", "index": 0}]]},
        "Many?": {"main": [[{"node": "Load", "type": "main", "index": 0}], [{"node": "Skip"}]]},
        "Load": {"main": [[{"node": "Done", "type": "main", "index": 0}]]},
        "Skip": {"main": [[{"node": "Done", "type": "main", "index": 1}]]},
    },
}

CANONICAL = {
    "name": "Orders",
    "description": "Every order",
    "triggers": [{"id": "nightly", "type": "cron", "config": {"expression": "0 2 * * *", "timezone": "Europe/Berlin"}}],
    "tasks": [
        {
            "id": "fetch_orders",
            "name": "Fetch orders",
            "type": "http",
            "config": {"url": "https://example.com/orders", "method": "GET", "query": {"a": 1}},
            "depends_on": [],
            "retry": {"max_attempts": 3},
            "timeout": "30s",
        },
        {
            "id": "many",
            "name": "Many?",
            "type": "transform",
            "config": {"output": "{{ size(tasks.fetch_orders.output.body) > 10 }}"},
            "depends_on": ["fetch_orders"],
        },
        {
            "id": "load",
            "name": "Load",
            "type": "shell",
            "config": {"command": "load", "env": {"A": "b"}},
            "depends_on": ["many"],
            "if": "{{ default(tasks.many.output, false) }}",
        },
        {
            "id": "skip",
            "name": "Skip",
            "type": "log",
            "config": {"message": "few"},
            "depends_on": ["many"],
            "if": "{{ !default(tasks.many.output, true) }}",
        },
        {"id": "done", "name": "Done", "type": "noop", "depends_on": ["load", "skip"]},
    ],
}


def test_a_whole_graph() -> None:
    assert canonical(WHOLE) == CANONICAL
    assert plan(WHOLE).tasks_of(Phase.MAIN) == ("fetch_orders", "many", "load", "skip", "done")
    assert accepted(WHOLE).warnings == ()


def test_the_canonical_form_of_a_graph_is_canonical() -> None:
    assert canonical(canonical(WHOLE)) == canonical(WHOLE)


# --- triggers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtype", "parameters", "made"),
    [
        ("TRIGGER_CRON", {"cron_expression": "@daily"}, {"type": "cron", "config": {"expression": "@daily"}}),
        ("CRON", {"expression": "@daily"}, {"type": "cron", "config": {"expression": "@daily"}}),
        ("TRIGGER_MANUAL", {}, {"type": "manual"}),
        (
            "trigger_manual", {"require_confirmation": True},
            {"type": "manual", "config": {"require_confirmation": True}},
        ),
        (
            "TRIGGER_WEBHOOK", {"webhook_path": "/x", "methods": ["POST"], "require_auth": False},
            {"type": "webhook", "config": {"path": "/x", "methods": ["POST"]}},
        ),
        (
            "TRIGGER_EMAIL",
            {"email_filter": "from:a", "check_interval": 60, "folder": "INBOX", "mark_as_read": True},
            {
                "type": "email",
                "config": {"email_filter": "from:a", "check_interval": 60, "folder": "INBOX", "mark_as_read": True},
            },
        ),
        (
            "TRIGGER_GITHUB", {"repository": "a/b", "events": ["push"], "branches": ["main"], "paths": ["src/**"]},
            {
                "type": "github",
                "config": {"repository": "a/b", "events": ["push"], "branches": ["main"], "paths": ["src/**"]},
            },
        ),
    ],
)  # fmt: skip
def test_trigger_nodes(subtype: str, parameters: Any, made: Any) -> None:
    assert trigger(subtype, **parameters) == {"id": made["type"], **made}


def test_a_node_that_is_called_trigger_is_one() -> None:
    raw = graph({"type": "TRIGGER_CRON", "parameters": {"cron_expression": "@daily"}}, node("a"))
    assert canonical(raw)["triggers"] == [{"id": "cron", "type": "cron", "config": {"expression": "@daily"}}]


def test_ids_and_switches_of_triggers() -> None:
    raw = graph({**START, "disabled": True}, {**START, "name": "Start!", "input": {"a": 1}}, {**START, "id": "x"})
    raw["nodes"][2].pop("name")
    raw["nodes"].append(node("a"))
    assert rewritten(raw)["triggers"] == [
        {"id": "start", "type": "manual", "enabled": False},
        {"id": "start_2", "type": "manual", "input": {"a": 1}},
        {"id": "x", "type": "manual"},
    ]


# --- kinds and parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"node_type": "ACTION_NODE", "subtype": "HTTP_REQUEST"}, "http"),
        ({"node_type": "action", "subtype": "httpRequest"}, "http"),
        ({"node_type": "ACTION_NODE", "subtype": "ACTION_HTTP_REQUEST"}, "http"),
        ({"node_type": "HTTP_REQUEST_NODE"}, "http"),
        ({"type": "Http Request"}, "http"),
        ({"type": "http", "subtype": "HTTP_REQUEST"}, "http"),
        ({"subtype": "HTTP"}, "http"),
        ({"node_type": "EXTERNAL_ACTION_NODE", "subtype": "SLACK"}, "notify"),
        ({"node_type": "AI_AGENT_NODE", "subtype": "ANY_PROVIDER"}, "agent"),
        ({"node_type": "database"}, "database"),
        ({"node_type": "SQL"}, "database"),
        ({"node_type": "EXECUTE_COMMAND"}, "shell"),
        ({"node_type": "SEND_EMAIL"}, "email"),
        ({"node_type": "DATA_TRANSFORMATION"}, "transform"),
        ({"node_type": "FLOW_NODE", "subtype": "WAIT"}, "sleep"),
        ({"node_type": "FLOW_NODE", "subtype": "MERGE"}, "noop"),
        ({"node_type": "HUMAN_IN_THE_LOOP_NODE", "subtype": "APPROVAL"}, "approval"),
    ],
)
def test_kinds_of_nodes(fields: Any, kind: str) -> None:
    assert task_of(graph(fields))["type"] == kind


@pytest.mark.parametrize(
    ("kind", "parameters", "config"),
    [
        ("http", {"url": "u", "payload": {"a": 1}, "headers": None}, {"url": "u", "body": {"a": 1}}),
        (
            "database",
            {"connection": "c", "query": "q", "params": [1]},
            {"connection": "c", "sql": "q", "parameters": [1]},
        ),
        ("shell", {"cmd": "c", "cwd": "/"}, {"command": "c", "working_dir": "/"}),
        ("python", {"code": "c"}, {"source": "c", "language": "python"}),
        ("javascript", {"code": "c"}, {"source": "c", "language": "node"}),
        ("script", {"code": "c", "language": "bash"}, {"source": "c", "language": "bash"}),
        (
            "agent",
            {"agent_name": "x", "input": {"a": "{{ input.a }}"}},
            {"agent": "x", "input": {"a": "{{ input.a }}"}},
        ),
        (
            "email",
            {"recipients": ["a@b.c"], "subject": "s", "body": "t"},
            {"to": ["a@b.c"], "subject": "s", "text": "t"},
        ),
        ("slack", {"webhook_url": "u", "message": "m"}, {"url": "u", "text": "m"}),
        ("set", {"values": {"a": 1}}, {"output": {"a": 1}}),
        ("wait", {"seconds": 5}, {"duration": 5}),
        ("execute_workflow", {"workflow_name": "x"}, {"workflow": "x"}),
        ("if", {"condition": "input.a"}, {"output": "{{ input.a }}"}),
        ("if", {"expression": "{{ input.a }}"}, {"output": "{{ input.a }}"}),
        ("if", {"condition": True}, {"output": True}),
    ],
)
def test_parameters(kind: str, parameters: Any, config: Any) -> None:
    assert task_of(graph({"type": kind, "parameters": parameters}))["config"] == config


def test_ids_of_tasks() -> None:
    raw = graph(
        node("Load!"), node("load"), {**node("Named"), "id": "own_id"}, {**node("Uid"), "id": "1-2"},
        {"type": "noop", "id": "9-9"}, {"type": "noop"},
    )  # fmt: skip
    assert [task["id"] for task in rewritten(raw)["tasks"]] == ["load", "load_2", "own_id", "uid", "task_9_9", "noop"]


def test_a_disabled_node_is_skipped() -> None:
    assert task_of(graph(node("a", disabled=True)))["if"] is False
    raw = graph(branch("q"), node("a", disabled=True), edges="q>a:true")
    assert rewritten(raw)["tasks"][1]["if"] is False


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [None, {}, []])
def test_without_connections_nodes_run_in_the_order_of_the_list(connections: Any) -> None:
    raw = graph(START, node("a"), node("b"), connections=connections)
    assert plan(raw).tasks["b"].needs == ("a",)


@pytest.mark.parametrize(
    "connections",
    [
        {"a": {"main": [[{"node": "b", "type": "main", "index": 0}]]}},
        {"a": {"main": [[{"node": "b"}, {"node": "b"}], None]}, "b": {"main": []}},
        [{"from": "a", "to": "b"}],
        [{"source": "a", "target": "b", "output": 0}],
        [{"from": "a", "source": "a", "to": "b", "output": "main"}],
        [{"from": "id_a", "to": "b"}, {"from": "a", "to": "b"}],
    ],
)
def test_forms_of_connections(connections: Any) -> None:
    raw = graph(node("b"), node("a", id="id_a"), connections=connections)
    made = plan(raw)
    assert made.tasks["b"].needs == ("id_a",)
    assert made.tasks["id_a"].needs == ()


def ifs(raw: Any) -> dict[str, Any]:
    return {task["id"]: task.get("if") for task in canonical(raw)["tasks"]}


TRUE, FALSE = "default(tasks.q.output, false)", "!default(tasks.q.output, true)"


def test_what_hangs_on_a_branch_asks_it() -> None:
    raw = graph(branch("q"), node("a"), node("b"), node("c"), edges="q>a:true a>b b>c")
    assert ifs(raw) == {"q": None, **dict.fromkeys("abc", f"{{{{ {TRUE} }}}}")}


def test_where_both_ways_meet_nothing_is_asked() -> None:
    raw = graph(branch("q"), node("a"), node("b"), node("j"), edges="q>a:true q>b:false a>j b>j")
    assert ifs(raw)["j"] is None


def test_where_a_way_around_a_branch_leads_to_nothing_is_asked() -> None:
    raw = graph(node("s"), branch("q"), node("a"), node("j"), edges="s>q q>a:true a>j s>j")
    assert ifs(raw)["j"] is None


def test_where_ways_of_several_branches_meet_any_of_them_counts() -> None:
    raw = graph(branch("q"), branch("r"), node("a"), node("b"), node("j"), edges="q>a:true r>b:false a>j b>j")
    assert ifs(raw)["j"] == f"{{{{ {TRUE} || !default(tasks.r.output, true) }}}}"


def test_a_branch_behind_a_branch() -> None:
    raw = graph(branch("q"), branch("r"), node("a"), node("b"), node("j"), edges="q>r:false r>a:true r>b:false a>j b>j")
    assert ifs(raw)["r"] == f"{{{{ {FALSE} }}}}"
    assert ifs(raw)["a"] == "{{ default(tasks.r.output, false) }}"
    assert ifs(raw)["j"] == f"{{{{ {FALSE} }}}}"


@pytest.mark.parametrize(
    ("own", "made"),
    [
        ("{{ input.y }}", f"{{{{ (input.y) && ({TRUE}) }}}}"),
        (True, f"{{{{ {TRUE} }}}}"),
        (False, False),
    ],
)
def test_an_if_of_its_own_is_asked_as_well(own: Any, made: Any) -> None:
    assert ifs(graph(branch("q"), node("a", **{"if": own}), edges="q>a:true"))["a"] == made


@pytest.mark.parametrize("output", ["true", "True", True, 0])
def test_words_for_the_first_output(output: Any) -> None:
    raw = graph(branch("q"), node("a"), connections=[{"from": "q", "to": "a", "output": output}])
    assert ifs(raw)["a"] == f"{{{{ {TRUE} }}}}"


@pytest.mark.parametrize("output", ["false", False, 1])
def test_words_for_the_second_output(output: Any) -> None:
    raw = graph(branch("q"), node("a"), connections=[{"from": "q", "to": "a", "output": output}])
    assert ifs(raw)["a"] == f"{{{{ {FALSE} }}}}"


def test_a_large_graph() -> None:
    count = 3000
    nodes = [branch(f"n{n}") if n % 3 == 0 else node(f"n{n}") for n in range(count)]
    ways = [edge(f"n{n}>n{n + 1}" + (":true" if n % 3 == 0 else "")) for n in range(count - 1)]
    assert len(rewritten(graph(*nodes, connections=ways))["tasks"]) == count


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "path", "code", "says"),
    [
        ({"name": "w", "connections": {"a": {}}}, "nodes", "missing", "nodes is missing"),
        ({"name": "w", "nodes": {}}, "nodes", "type", "nodes must be a list, not a mapping"),
        (graph(), "nodes", "value", "must not be empty"),
        (graph(START), "nodes", "value", "only triggers"),
        (graph("x"), "nodes[0]", "type", "a node must be a mapping, not text"),
        (graph({"name": "a"}), "nodes[0].node_type", "missing", "say what the node does"),
        (graph({"type": 5}), "nodes[0].type", "type", "type must be text, not a number"),
        (graph({"node_type": "ACTION_NODE"}), "nodes[0].subtype", "missing", "needs a subtype"),
        (graph({"node_type": "htp"}), "nodes[0].node_type", "unknown_type", "did you mean 'http'"),
        (graph({"node_type": "FLOW", "subtype": "LOOP"}), "nodes[0].subtype", "unknown_type", "canonical shape"),
        (graph({"node_type": "FILTER"}), "nodes[0].node_type", "unknown_type", "loops, filters"),
        (graph({"node_type": "http", "subtype": "SLACK"}), "nodes[0].subtype", "contradiction", "of another kind"),
        (graph({"node_type": "http", "subtype": "x"}), "nodes[0].subtype", "unknown_type", "the kind 'x'"),
        (graph({"node_type": "TRIGGER_NODE"}, node("a")), "nodes[0].subtype", "missing", "TRIGGER_CRON"),
        (
            graph({"node_type": "TRIGGER_NODE", "subtype": "TRIGGER_KRON"}, node("a")), "nodes[0].subtype",
            "unknown_type", "did you mean 'TRIGGER_CRON'",
        ),
        (graph(node("a"), node("a")), "nodes[1].name", "duplicate", "also what nodes[0] is called"),
        (graph(node("a", id="x"), node("x")), "nodes[1].name", "duplicate", "also what nodes[0] is called"),
        (graph(node("a", id="x"), node("b", id="x")), "nodes[1].id", "duplicate", "also what nodes[0] is called"),
        (graph(node("a", config={})), "nodes[0].config", "unknown_field", "write parameters"),
        (graph(node("a", depends_on=[])), "nodes[0].depends_on", "unknown_field", "write it into connections"),
        (graph(node("a", disabled="no")), "nodes[0].disabled", "type", "true or false"),
        (graph(node("a", "IF")), "nodes[0].parameters.condition", "missing", "write an expression"),
        (graph(branch("a", 5)), "nodes[0].parameters.condition", "type", "must be text"),
        (
            graph(node("a", "IF", parameters={"condition": "true", "value1": 1})), "nodes[0].parameters.value1",
            "unknown_field", "no field 'value1'",
        ),
        (
            graph(node("a", "SHELL", parameters={"command": "a", "cmd": "b"})), "nodes[0].parameters.cmd",
            "contradiction", "it is called command",
        ),
        (graph(START, node("a"), triggers=[{"type": "manual"}]), "triggers", "contradiction", "as nodes (nodes[0])"),
        (graph(node("a"), edges="a>x"), "connections[0].to", "unknown_node", "there is no node 'x'"),
        (graph(node("a"), edges="x>a"), "connections[0].from", "unknown_node", "there is no node 'x'"),
        (graph(node("a"), connections=5), "connections", "type", "must be a list or a mapping, not a number"),
        (graph(node("a"), connections=["a"]), "connections[0]", "type", "must be a mapping, not text"),
        (graph(node("a"), connections=[{"to": "a"}]), "connections[0].from", "missing", "names no node"),
        (graph(node("a"), connections=[{"from": 1, "to": "a"}]), "connections[0].from", "type", "not a number"),
        (
            graph(node("a"), node("b"), connections=[{"from": "a", "source": "b", "to": "a"}]), "connections[0].source",
            "contradiction", "write one of them",
        ),
        (
            graph(node("a"), node("b"), connections=[{"from": "a", "to": "b", "port": 1}]), "connections[0].port",
            "unknown_field", "the fields are from",
        ),
        (graph(node("a"), connections={"x": {"main": []}}), "connections.x", "unknown_node", "there is no node 'x'"),
        (graph(node("a"), connections={"a": []}), "connections.a", "value", "not the outputs of a node"),
        (graph(node("a"), connections={"a": {"ai_tool": [[]]}}), "connections.a", "value", '"main"'),
        (graph(node("a"), connections={"a": {"main": ["b"]}}), "connections.a.main[0]", "type", "an output is a list"),
        (
            graph(node("a"), connections={"a": {"main": [[{"node": "b"}]]}}), "connections.a.main[0][0].node",
            "unknown_node", "there is no node 'b'",
        ),
        (
            graph(node("a"), connections={"a": {"main": [["b"]]}}), "connections.a.main[0][0].node", "missing",
            "names no node",
        ),
        (graph(START, node("a"), edges="Start>a a>Start"), "connections[1]", "value", "Start is a trigger"),
        (graph(START, node("a"), node("b"), edges="Start>a"), "nodes[2]", "unreachable", "nothing leads to b"),
        (graph(branch("q"), node("a"), edges="q>a"), "connections[0].output", "missing", "true or output: false"),
        (graph(branch("q"), node("a"), edges="q>a:maybe"), "connections[0].output", "value", "cannot be 'maybe'"),
        (graph(node("a"), node("b"), edges="a>b:true"), "connections[0].output", "value", "only a node of the kind if"),
        (
            graph(node("a"), node("b"), connections={"a": {"main": [[], [{"node": "b"}]]}}),
            "connections.a.main[1][0].output", "value", "a has one output",
        ),
    ],
)  # fmt: skip
def test_faults_of_the_shape(raw: Any, path: str, code: str, says: str) -> None:
    fault = refusal(raw)
    assert (fault.path, fault.code) == (path, code)
    assert says in f"{fault.message}; {fault.remedy}"
    assert only(raw) == fault


@pytest.mark.parametrize(
    ("raw", "path", "code"),
    [
        (graph(node("a", "HTTP_REQUEST", parameters={})), "nodes[0].parameters.url", "missing"),
        (graph(node("a", "HTTP_REQUEST", parameters={"url": 5})), "nodes[0].parameters.url", "type"),
        (graph(node("a", "SHELL", parameters={"cmd": 5})), "nodes[0].parameters.cmd", "type"),
        (graph(node("a", "SHELL", parameters=[])), "nodes[0].parameters", "type"),
        (graph(node("a", "SHELL", colour=1)), "nodes[0].colour", "unknown_field"),
        (graph(node("a", retry=5)), "nodes[0].retry", "type"),
        (graph(node(5)), "nodes[0].name", "type"),
        (graph(branch("q", "input.")), "nodes[0].parameters.condition", "expression"),
        (graph(node("s"), branch("q", "tasks.b.output"), edges="s>q"), "nodes[1].parameters.condition", "unknown_name"),
        (
            graph({**START, "subtype": "TRIGGER_CRON", "parameters": {"cron_expression": "x"}}, node("a")),
            "nodes[0].parameters.cron_expression",
            "schedule",
        ),
        (graph({**START, "colour": 1}, node("a")), "nodes[0].colour", "unknown_field"),
        (graph(node("a"), node("b"), edges="a>b b>a"), "connections", "cycle"),
        (graph(node("a"), edges="a>a"), "connections[0]", "cycle"),
    ],
)
def test_faults_of_what_it_becomes_name_the_nodes(raw: Any, path: str, code: str) -> None:
    fault = only(raw)
    assert (fault.path, fault.code) == (path, code)


def test_all_faults_are_told_at_once() -> None:
    raw = graph(START, node("a", "HTP"), {"type": "SHELL", "parameters": {}}, edges="Start>a Start>x")
    assert [fault.path for fault in refusals(raw)] == ["nodes[1].node_type", "connections[1].to"]


def test_places() -> None:
    assert place(WHOLE, "tasks[0].config.query.a") == "nodes[1].parameters.query_params.a"
    assert place(WHOLE, "tasks[4].depends_on[1]") == "connections.Skip.main[0][0]"
    assert place(WHOLE, "triggers[0].config.timezone") == "nodes[0].parameters.timezone"
    assert place(WHOLE, "tasks[1].type") == "nodes[2].subtype"


def test_nodes_take_the_place_of_stored_tasks_and_triggers() -> None:
    stored = {"name": "w", "triggers": [{"type": "manual", "id": "old"}], "tasks": [{"id": "old", "type": "noop"}]}
    made = changed(stored, {"nodes": [{"type": "log"}]})
    assert [trigger["id"] for trigger in made["triggers"]] == ["old"]
    assert [task["id"] for task in made["tasks"]] == ["log"]
    made = changed(stored, {"nodes": [START, {"type": "log"}]})
    assert [trigger["id"] for trigger in made["triggers"]] == ["start"]
