"""The example of the specification is a definition like any other."""

from millrace.definition import read_yaml
from tests.unit.definition.example import faults

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
redact: ["$.tasks.fetch.output.body.orders[*].card", "$.trigger.body.token"]
"""


def test_the_example_of_the_specification_has_no_other_faults() -> None:
    raw = read_yaml(SPECIFIED)
    assert faults(raw) == []
