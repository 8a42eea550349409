"""What the load consists of: a workflow for each thing that a fault could spoil, and how its runs may end.

Every shell task tells its attempt's life to a ledger outside of Millrace, line by line while it works, and answers with
its attempt's token. Every `database` task leaves a row under an idempotency key in a database that no fault touches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAY = """say() { printf '%s %s %s %s %s\\n' "$(date +%s%N)" "$1" "$RUN" "$TASK" "$MILLRACE_ATTEMPT" >> "$LEDGER"; }
say begin
"""
WORK = """n=0; while [ $n -lt "$TENTHS" ]; do sleep 0.1; n=$((n+1)); say goes_on; done
say end
printf '{"token": "%s"}\\n' "$MILLRACE_ATTEMPT"
"""
DEAF = "trap '' TERM\n"
"""It has to be ended by force."""
ONCE_MORE = 'grep -q "fails $RUN $TASK " "$LEDGER" || { say fails; exit 3; }\n'

EFFECTS = "create table effects (key text not null)"
EFFECT = "insert into effects (key) values (:key)"
LARGE = 5_000
"""Bytes of an output, more than a row takes by `SETTINGS`."""

COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"


@dataclass(frozen=True)
class Workflow:
    """`control`: what is asked of its runs while they run."""

    document: dict[str, Any]
    ends: frozenset[str] = frozenset({COMPLETED})
    weight: int = 2
    control: str | None = None
    completed_tasks: tuple[str, ...] = ()
    """Which complete whatever comes of the run."""
    at_most_once: tuple[str, ...] = ()
    output: Any = None
    input: dict[str, Sequence[str]] = field(default_factory=dict)
    """Values to choose from."""
    seconds: float = 0.0
    """How long a run takes by itself, if that is long."""

    @property
    def name(self) -> str:
        return str(self.document["name"])


def workflows(ledger: Path, outside: str, lease: int) -> list[Workflow]:
    """`outside`: the address of the database for effects."""

    def shell(id_: str, tenths: int = 1, before: str = "", work: str = WORK, **fields: Any) -> dict[str, Any]:
        env = {"RUN": "{{ run.id }}", "TASK": id_, "LEDGER": str(ledger), "TENTHS": str(tenths)}
        return {"id": id_, "type": "shell", "config": {"command": before + SAY + work, "env": env}, **fields}

    def effect(id_: str, **fields: Any) -> dict[str, Any]:
        parameters = {"key": f"{{{{ run.id }}}}/{id_}"}
        config = {"connection_string": outside, "sql": EFFECT, "parameters": parameters, "fetch": "none"}
        # A worker that stood still finds that the other database has not answered in time.
        return {"id": id_, "type": "database", "config": config, "retry": {"max_attempts": 3}, **fields}

    def noop(id_: str, **fields: Any) -> dict[str, Any]:
        return {"id": id_, "type": "noop", **fields}

    free: dict[str, Any] = {"depends_on": []}
    scarce = {"concurrency": {"key": "scarce", "limit": 3}}
    spread = [effect(f"e{n}", **free) for n in range(2)] + [noop(f"n{n}", **free) for n in range(4)]
    spread += [shell(f"s{n}", 2, **free, **scarce) for n in range(2)]
    impatient = {"timeout": "400ms", "retry": {"max_attempts": 2, "delay": "100ms", "on": ["timeout"]}}
    beyond = lease * 5 / 2
    large = f"head -c {LARGE} /dev/zero | tr '\\0' x"
    return [
        _of("chain", shell("a"), noop("b"), effect("c"), shell("d", 2, before=DEAF), effect("e"), weight=5),
        _of("fan-out", *spread, noop("join", depends_on=[task["id"] for task in spread])),
        _of("retries", shell("t", 1, work=ONCE_MORE + WORK, retry={"max_attempts": 2, "delay": "200ms"}), effect("u")),
        _of("impatient", shell("t", 600, **impatient), ends={FAILED}, weight=1),
        _of("overdue", shell("t", 600, before=DEAF), timeout="700ms", ends={FAILED}, weight=1),
        _of("tidy", shell("t", 1, work=WORK + "exit 4"), on_failure=[effect("tell")], **{"finally": [shell("wipe")]},
            ends={FAILED}, completed_tasks=("tell", "wipe")),
        _of("cancelled", shell("t", 30), effect("u"), **{"finally": [shell("wipe")]},
            ends={COMPLETED, CANCELLED}, control="cancel", completed_tasks=("wipe",)),
        _of("paused", shell("t", 2), effect("u"), shell("v", 2), control="pause"),
        _of("once", noop("s"), shell("t", 5, retry={"on_crash": False}), ends={COMPLETED, FAILED}, at_most_once=("t",)),
        _of("limited", shell("t", 3), concurrency={"limit": 2, "key": "{{ input.customer }}"},
            input={"customer": ("north", "south")}),
        _of("large", {"id": "l", "type": "shell", "config": {"command": large}}, noop("m"),
            output="{{ size(tasks.l.output.stdout) }}", expects=LARGE),
        _of("long", shell("t", round(beyond * 10), before=DEAF), weight=1, seconds=beyond),
        _of("ticking", noop("t"), triggers=[
            {"id": "second", "type": "cron", "config": {"expression": "* * * * * *", "catch_up": "all"}}], weight=0),
    ]  # fmt: skip


def _of(
    name: str,
    *tasks: dict[str, Any],
    ends: Sequence[str] | set[str] = (COMPLETED,),
    weight: int = 2,
    control: str | None = None,
    completed_tasks: tuple[str, ...] = (),
    at_most_once: tuple[str, ...] = (),
    expects: Any = None,
    input: dict[str, Sequence[str]] | None = None,
    seconds: float = 0.0,
    **fields: Any,
) -> Workflow:
    document = {"name": name, "tasks": list(tasks), **fields}
    return Workflow(
        document, frozenset(ends), weight, control, completed_tasks, at_most_once, expects, input or {}, seconds
    )
