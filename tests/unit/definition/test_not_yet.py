"""What the definition language has and this release does not: said as such, never as a mistake of the author's."""

from typing import Any

import pytest

from millrace.definition import read_yaml
from tests.unit.definition.example import NOOP, faults, only, task, workflow

SPECIFIED = """
name: nightly-orders
description: Fetch, load and report yesterday's orders
labels: {team: data}
input:
  type: object
  required: [day]
  properties: {day: {type: string, format: date}}
variables: {region: eu}
concurrency: {limit: 1, key: "{{ input.day }}", when_full: queue}
timeout: 2h
triggers:
  - id: nightly
    type: cron
    config: {expression: "0 2 * * *", timezone: Europe/Berlin, dst: {gap: shift, overlap: first}, jitter: 30s}
    input: {day: "{{ trigger.due_date }}"}
  - id: hook
    type: webhook
    config: {path: orders, methods: [POST], auth: {type: hmac, preset: generic, secret: "{{ secrets.hook }}"}}
    input: {day: "{{ trigger.body.day }}"}
defaults:
  retry: {max_attempts: 3, delay: 1s, multiplier: 2, max_delay: 30s, jitter: 0.2}
tasks:
  - id: fetch
    type: http
    timeout: 30s
    config:
      url: "https://api.example.com/orders?day={{ input.day }}&region={{ variables.region }}"
      auth: {type: bearer, token: "{{ secrets.orders_api }}"}
  - id: load
    type: foreach
    config: {items: "{{ tasks.fetch.output.body.orders }}", concurrency: 8}
    tasks:
      - id: insert
        type: database
        config:
          connection: warehouse
          sql: insert into orders (id, total) values (:id, :total)
          parameters: {id: "{{ item.id }}", total: "{{ item.total }}"}
  - id: audit
    type: agent
    depends_on: [fetch]
    config: {agent: auditor, input: {count: "{{ size(tasks.fetch.output.body.orders) }}"}}
    allow_failure: true
  - id: large
    type: condition
    depends_on: [load, audit]
    join: all_done
    config: {if: "{{ size(tasks.fetch.output.body.orders) > 1000 }}"}
    then:
      - {id: ask, type: approval, config: {message: "Large day, publish?"}, timeout: 4h}
    else: []
  - id: report
    type: shell
    config: {command: "python report.py", working_dir: /srv/reports, env: {DAY: "{{ input.day }}"}}
    if: "{{ variables.region == 'eu' }}"
on_failure:
  - id: tell
    type: email
    config: {to: [ops@example.com], subject: "{{ run.workflow.name }} failed", text: "{{ run.error.message }}"}
output: {orders: "{{ size(tasks.fetch.output.body.orders) }}"}
"""


def test_the_example_of_the_specification_has_no_other_faults() -> None:
    raw = read_yaml(SPECIFIED)
    assert [(fault.path, fault.code) for fault in faults(raw)] == [
        ("tasks[1].type", "not_supported"),
        ("tasks[2].type", "not_supported"),
        ("tasks[3].type", "not_supported"),
    ]


@pytest.mark.parametrize("key", ["redact"])
def test_fields_of_a_workflow(key: str) -> None:
    fault = only(workflow(**{key: 1}))
    assert (fault.path, fault.code) == (key, "not_supported")
    assert fault.message == f"{key} is not supported yet"


@pytest.mark.parametrize("key", ["tasks", "then", "else", "cases"])
def test_fields_of_a_task(key: str) -> None:
    fault = only(workflow({**NOOP, key: 1}))
    assert (fault.path, fault.code) == (f"tasks[0].{key}", "not_supported")
    assert "not supported yet" in fault.message


@pytest.mark.parametrize(
    "kind",
    [
        *("condition", "switch", "parallel", "sequential", "foreach", "while", "sub_workflow", "sleep", "until"),
        *("wait_for_event", "signal", "approval", "agent"),
    ],
)
def test_task_types(kind: str) -> None:
    fault = only(workflow(task("a", kind, config={"anything": "{{ input.x }}"})))
    assert (fault.path, fault.code) == ("tasks[0].type", "not_supported")
    assert fault.message == f"the task type {kind} is not supported yet"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"name": "c", "start_step": "a", "steps": {"a": {"id": "a", "agent_name": "x"}}}, "start_step"),
        ({"name": "d", "definition": workflow(), "triggers": []}, "definition"),
        ({"name": "d", "definition_json": workflow()}, "definition_json"),
        ({"name": "d", "workflow_data": workflow()}, "workflow_data"),
        ({"nodes": [{"node_type": "TRIGGER_NODE"}], "connections": {}}, "nodes"),
    ],
)
def test_shapes(raw: dict[str, Any], path: str) -> None:
    fault = only(raw)
    assert (fault.path, fault.code) == (path, "not_supported")
    assert "not supported yet" in fault.message
    assert "tasks" in fault.remedy
