"""What the doctor asks of triggers: rows as the deployed definition has them, due times, firings and their runs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from millrace.storage.run_checks import REPORT_IT, Check

DEPLOY_AGAIN = "Deploy the workflow again, which makes its triggers anew from the definition."

TRIGGER_CHECKS = (
    Check(
        "trigger_of_other_version",
        """select null as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        left join workflow_versions v on v.workflow_id = w.id and v.number = w.deployed_version
          and w.deleted_at is null
        where coalesce(t.version_id, '') <> coalesce(v.id, '')""",
        "the trigger {detail} starts another version than the one that is deployed",
        DEPLOY_AGAIN,
    ),
    Check(
        "trigger_wrongly_active",
        """select null as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        where t.active <> (t.enabled and w.status = 'active' and w.deployed_version is not null
          and w.deleted_at is null)""",
        "the trigger {detail} fires though it should not, or does not though it should",
        "Disable and enable the workflow.",
    ),
    Check(
        "due_time_of_silent_trigger",
        """select null as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        where t.next_due_at is not null and (not t.active or t.type not in ('cron', 'interval', 'once'))""",
        "the trigger {detail} has a due time, but fires nothing by itself now",
        "Disable and enable the workflow.",
    ),
    Check(
        "trigger_without_route",
        """select null as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        where t.active and t.type in ('webhook', 'event') and t.last_error is null
          and not exists (select 1 from trigger_routes r where r.trigger_id = t.id)""",
        "nothing that comes in can find the trigger {detail}, which an earlier release stored and did not fire",
        DEPLOY_AGAIN,
    ),
    Check(
        "schedule_without_due_time",
        """select null as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        where t.active and t.type = 'cron' and t.next_due_at is null and t.last_error is null""",
        "the schedule {detail} is enabled, but has no due time and no error that says why",
        "Disable and enable the trigger.",
    ),
    Check(
        "due_time_left",
        """select t.last_run_id as run_id, w.name || '/' || t.name as detail from triggers t
        join workflows w on w.id = t.workflow_id
        where t.next_due_at + t.jitter_us < now_us() - :patience""",
        "the trigger {detail} was due more than a minute ago, and nothing was decided",
        "See the server's log for why it cannot be dealt with.",
    ),
    Check(
        "firing_without_run",
        """select f.run_id as run_id, f.trigger_id || ' (' || f.start_key || ')' as detail from firings f
        left join runs r on r.id = f.run_id
        where f.decision = 'started' and r.id is null""",
        "trigger {detail} is said to have started a run, but there is none; retention deletes both at once",
        "Restore the database from a backup if rows were deleted by hand; otherwise report it.",
    ),
    Check(
        "firing_without_reason",
        """select f.run_id as run_id, f.trigger_id || ' (' || f.start_key || ')' as detail from firings f
        where f.decision <> 'started' and (f.run_id is not null or coalesce(f.reason, '') = '')""",
        "a firing of trigger {detail} started no run, and does not say why",
        REPORT_IT,
    ),
    Check(
        "due_time_started_twice",
        # Keys first: they hold the time, so they come sorted already, or nearly so. (The trigger is an expression
        # here to keep off the index by trigger, along which each firing would have to be looked up.)
        """select max(f.run_id) as run_id, max(f.trigger_id) || ' (' || f.start_key || ')' as detail from firings f
        where f.decision = 'started' group by f.start_key, f.trigger_id || '' having count(*) > 1""",
        "trigger {detail} has started more than one run for the same time",
        REPORT_IT,
    ),
    Check(
        "start_key_of_other_run",
        """select f.run_id as run_id, f.trigger_id || ' (' || f.start_key || ')' as detail from firings f
        join start_keys k on k.namespace = 'trigger' and k.scope = f.trigger_id and k.key = f.start_key
        where f.decision = 'started' and k.run_id <> f.run_id""",
        "the start key of trigger {detail} names another run than its firing",
        REPORT_IT,
    ),
)  # fmt: skip

_DEPLOYED = """select w.id, w.name, {} as triggers from workflows w
    join workflow_versions v on v.workflow_id = w.id and v.number = w.deployed_version
    where w.deleted_at is null"""
_TRIGGERS = {
    "sqlite": "json_extract(v.definition, '$.triggers')",
    "postgresql": "cast(cast(v.definition as json) -> 'triggers' as text)",
}
_ROWS = text(
    "select workflow_id, name, type, declared, condition, config, input from triggers where origin = 'definition'"
)

ROWS_DIFFER = Check(
    "trigger_differs_from_definition", "", "the trigger {detail} is not as its deployed definition says", DEPLOY_AGAIN
)


def differing_rows(connection: Connection) -> Iterator[str]:
    """Names of triggers that are missing, too many, or other than the deployed version of their workflow has them."""
    rows: dict[str, dict[str, Any]] = {}
    for workflow_id, name, *held in connection.execute(_ROWS):
        rows.setdefault(workflow_id, {})[name] = held
    for workflow_id, name, stored in connection.execute(text(_DEPLOYED.format(_TRIGGERS[connection.dialect.name]))):
        wanted = {one["id"]: _wanted(one) for one in json.loads(stored or "[]")}
        found = {trigger: _found(held) for trigger, held in rows.get(workflow_id, {}).items()}
        for trigger in sorted(wanted.keys() | found.keys()):
            if wanted.get(trigger) != found.get(trigger):
                yield f"{name}/{trigger}"


def _wanted(trigger: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        trigger["type"], bool(trigger.get("enabled", True)), trigger.get("if"), trigger.get("config") or {},
        trigger.get("input") or {},
    )  # fmt: skip


def _found(held: Any) -> tuple[Any, ...]:
    type_, declared, condition, config, input_ = held
    return (
        type_, bool(declared), None if condition is None else json.loads(condition), json.loads(config),
        json.loads(input_),
    )  # fmt: skip
