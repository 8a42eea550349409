"""Triggers in a definition: what their configs take, what their expressions may read, and where a fault is."""

from typing import Any

import pytest

from tests.unit.definition.example import accepted, canonical, faults, only, told, workflow


def cron(expression: Any = "0 2 * * *", /, **config: Any) -> dict[str, Any]:
    return {"type": "cron", "config": {"expression": expression, **config}}


def with_trigger(trigger: Any, **fields: Any) -> dict[str, Any]:
    return workflow(triggers=[trigger], **fields)


@pytest.mark.parametrize(
    "trigger",
    [
        cron(),
        cron("@daily", timezone="Europe/Berlin"),
        cron("*/5 * * * * *", dst={"gap": "skip", "overlap": "both"}),
        cron(dst={}),
        cron(catch_up="none"),
        cron(catch_up="all"),
        cron(catch_up={"policy": "all"}),
        cron(catch_up={"policy": "all", "limit": 1000}),
        cron(jitter="10m"),
        cron(jitter=90),
        {"type": "interval", "config": {"every": "15m", "anchor": "2026-11-21T08:00", "end": "2027-01-01"}},
        {"type": "once", "config": {"at": "2026-12-24T18:00:00+01:00", "catch_up": "none"}},
        {"type": "manual"},
        {"type": "manual", "config": {"require_confirmation": True}},
    ],
)
def test_what_a_trigger_takes(trigger: Any) -> None:
    made = accepted(with_trigger(trigger))
    assert made.warnings == ()
    assert made.canonical["triggers"] == [{"id": trigger["type"], **trigger}]


@pytest.mark.parametrize("kind", ["email", "github"])
def test_types_that_do_not_fire_yet_are_kept_with_a_warning(kind: str) -> None:
    trigger = {"type": kind, "config": {"anything": ["{{ secrets.x }}"]}, "input": {"a": "{{ trigger.body.a }}"}}
    made = accepted(with_trigger(trigger))
    assert made.warnings == (f"trigger `{kind}` ({kind}) is stored and does not fire in this release",)
    assert made.canonical["triggers"] == [{"id": kind, **trigger}]


CONFIG = "triggers[0].config"


@pytest.mark.parametrize(
    ("trigger", "path", "code", "says", "remedy"),
    [
        (cron("61 * * * *"), f"{CONFIG}.expression", "schedule", "minute: 61 is not between 0 and 59", "0-59"),
        (cron("0 0 30 2 *"), f"{CONFIG}.expression", "schedule", "it never fires", "up to 29"),
        (cron(5), f"{CONFIG}.expression", "type", "expression must be text, not a number", "text"),
        (cron(None), f"{CONFIG}.expression", "type", "expression must be text, not null", "text"),
        ({"type": "interval"}, f"{CONFIG}.every", "missing", "every is missing", "add every"),
        ({"type": "interval", "config": {"every": 0}}, f"{CONFIG}.every", "duration", "1s at least", "5m"),
        ({"type": "once", "config": {"at": "soon"}}, f"{CONFIG}.at", "moment", "not a moment", "2026-11-02T08:00:00Z"),
        ({"type": "cron"}, f"{CONFIG}.expression", "missing", "expression is missing", "add expression"),
        ({"type": "cron", "config": {}}, f"{CONFIG}.expression", "missing", "expression is missing", "add expression"),
        (cron(timezone="Mars"), f"{CONFIG}.timezone", "schedule", "there is no time zone 'Mars'", "IANA"),
        (cron(timezone="europe/berlin"), f"{CONFIG}.timezone", "schedule", "no time zone", "write Europe/Berlin"),
        (cron(timezone=2), f"{CONFIG}.timezone", "type", "timezone must be text, not a number", "text"),
        (cron(tz="UTC"), f"{CONFIG}.tz", "unknown_field", "there is no field 'tz'", "timezone"),
        (cron(dst={"gap": "later"}), f"{CONFIG}.dst.gap", "value", "gap cannot be 'later'", "shift, skip"),
        (cron(dst={"overlap": "all"}), f"{CONFIG}.dst.overlap", "value", "cannot be 'all'", "first, last, both"),
        (cron(dst="skip"), f"{CONFIG}.dst", "type", "dst must be a mapping, not text", "mapping"),
        (cron(dst={"fold": 1}), f"{CONFIG}.dst.fold", "unknown_field", "no field 'fold'", "gap, overlap"),
        (cron(catch_up="some"), f"{CONFIG}.catch_up", "value", "catch_up cannot be 'some'", "none, latest, all"),
        (cron(catch_up={"policy": "all", "limit": 0}), f"{CONFIG}.catch_up.limit", "value", "at least 1", "limit"),
        (cron(catch_up={"policy": "all", "limit": 1001}), f"{CONFIG}.catch_up.limit", "value", "at most 1000", ""),
        (cron(catch_up={"policy": "none", "limit": 5}), f"{CONFIG}.catch_up.policy", "value", "be 'none'", "all"),
        (cron(jitter="soon"), f"{CONFIG}.jitter", "duration", "'soon' is not a duration", "30s"),
        (cron(jitter="25h"), f"{CONFIG}.jitter", "duration", "one day at most", "30s"),
        (cron(jitter=-1), f"{CONFIG}.jitter", "duration", "not between", "30s"),
        (cron("{{ variables.when }}"), f"{CONFIG}.expression", "expression", "is not replaced", "the value itself"),
        (cron(timezone="{{ variables.zone }}"), f"{CONFIG}.timezone", "expression", "is not replaced", "value itself"),
        (cron("{{"), f"{CONFIG}.expression", "expression", "never closed", ""),
        (
            {"type": "manual", "config": {"require_confirmation": "yes"}},
            f"{CONFIG}.require_confirmation", "type", "must be true or false", "true or false",
        ),
        ({"type": "manual", "config": {"confirm": True}}, f"{CONFIG}.confirm", "unknown_field", "no field", ""),
    ],
)  # fmt: skip
def test_a_fault_is_told_once_with_its_place(trigger: Any, path: str, code: str, says: str, remedy: str) -> None:
    fault = only(with_trigger(trigger))
    assert (fault.path, fault.code) == (path, code)
    assert says in fault.message
    assert remedy in fault.remedy


def test_all_faults_of_all_triggers_are_told_at_once() -> None:
    triggers = [cron("x", timezone="x"), {"id": "cron", **cron("@daily")}, {"id": "cron", **cron(jitter="x")}]
    assert told(workflow(triggers=triggers)) == [
        ("triggers[0].config.expression", "schedule"),
        ("triggers[0].config.timezone", "schedule"),
        ("triggers[2].id", "duplicate"),
        ("triggers[2].config.jitter", "duration"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{{ trigger.id }} {{ trigger.type }} {{ trigger.time }}",
        "{{ trigger.due_at }} {{ trigger.due_date }} {{ trigger.due_time }}",
        "{{ variables.region }}",
        "{{ default(variables.nothing, 1) }}",
        "{{ default(trigger.body, {}) }}",
        "{{ trigger }}",
        "no expression",
    ],
)
def test_what_the_input_of_a_schedule_may_read(text: str) -> None:
    accepted(with_trigger({**cron(), "input": {"a": [text]}}, variables={"region": "eu"}))


@pytest.mark.parametrize(
    ("expression", "says", "remedy"),
    [
        ("trigger.body", "trigger has no field 'body' when it is of type cron", "due_at, due_date, due_time, id"),
        ("trigger.due_dat", "did you mean 'due_date'", "due_date"),
        ("variables.regio", "there is no variable 'regio'; did you mean 'region'?", "declare it"),
        ("tasks.a.output", "tasks has no value before the run starts", "use trigger or variables"),
        ("input.day", "input has no value before the run starts", "use trigger or variables"),
        ("run.id", "run has no value before the run starts", "use trigger or variables"),
        ("secrets.key", "secrets has no value before the run starts", "use trigger or variables"),
        ("item", "item has no value before the run starts", "use trigger or variables"),
    ],
)
@pytest.mark.parametrize("place", ["input", "if"])
def test_what_it_may_not_read(place: str, expression: str, says: str, remedy: str) -> None:
    value: Any = f"{{{{ {expression} }}}}"
    trigger = {**cron(), place: {"day": [value]} if place == "input" else value}
    fault = only(with_trigger(trigger, variables={"region": "eu"}))
    assert (fault.path, fault.code) == (f"triggers[0].{'input.day[0]' if place == 'input' else 'if'}", "unknown_name")
    assert says in fault.message
    assert remedy in fault.remedy


def test_a_manual_trigger_has_no_due_time() -> None:
    fault = only(with_trigger({"type": "manual", "input": {"a": "{{ trigger.due_date }}"}}))
    assert "no field 'due_date' when it is of type manual" in fault.message


@pytest.mark.parametrize("condition", ["trigger.due_date", "{{ 1 }} and more", "{{ trigger.", 5])
def test_a_condition_is_one_expression(condition: Any) -> None:
    assert [fault.path for fault in faults(with_trigger({**cron(), "if": condition}))] == ["triggers[0].if"]


def test_what_was_accepted_is_accepted_again() -> None:
    made = canonical(with_trigger(cron(jitter=90, catch_up={"policy": "all"})))
    assert canonical(made) == made
