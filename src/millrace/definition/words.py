"""Which name was meant by one that there is not: another tool's word for ours, another spelling, a slip.

The one place where this is guessed, for our words and for those that an author has chosen.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice

_OURS: Mapping[str, str] = {
    "after": "depends_on", "dependencies": "depends_on", "depends": "depends_on", "needs": "depends_on",
    "requires": "depends_on", "upstream": "depends_on",
    "condition": "if", "only_if": "if", "when": "if condition",
    "attempts": "retry max_attempts", "max_retries": "retry max_attempts", "retries": "retry max_attempts",
    "retry_count": "retry max_attempts", "retry_policy": "retry", "backoff": "multiplier", "retry_delay": "delay",
    "continue_on_error": "allow_failure", "continue_on_failure": "allow_failure", "ignore_errors": "allow_failure",
    "timeout_seconds": "timeout", "timeout_minutes": "timeout",
    "on_error": "on_failure", "catch": "on_failure", "always": "finally", "on_exit": "finally",
    "actions": "tasks", "jobs": "tasks", "stages": "tasks", "steps": "tasks",
    "cron": "triggers expression cron", "schedule": "triggers expression cron", "schedules": "triggers",
    "on": "triggers", "crontab": "expression", "tz": "timezone", "time_zone": "timezone", "zone": "timezone",
    "inputs": "input", "parameters": "input", "params": "parameters query input", "args": "parameters input",
    "vars": "variables", "env": "variables", "returns": "output", "result": "output", "outputs": "output",
    "value": "output", "tags": "labels", "max_concurrency": "concurrency", "max_parallel": "concurrency",
    "if": "condition", "unless": "if", "loop": "foreach while", "for": "foreach", "for_each": "foreach",
    "map": "foreach", "repeat": "while", "branch": "condition switch", "choice": "switch",
    "match": "switch", "group": "sequential parallel", "sequence": "sequential", "series": "sequential",
    "fork": "parallel", "wait": "sleep wait_for_event", "pause": "sleep approval", "delay": "sleep duration",
    "wait_for_signal": "wait_for_event", "receive": "wait_for_event", "human": "approval", "confirm": "approval",
    "subworkflow": "sub_workflow", "call": "sub_workflow", "child": "sub_workflow", "send_signal": "signal",
    "do": "tasks", "children": "tasks", "branches": "tasks cases", "otherwise": "else default",
    "on_approve": "then", "on_reject": "else", "list": "items", "over": "items", "each": "items foreach",
    "max_loops": "max_iterations", "seconds": "duration", "at": "time", "event_type": "type", "form_schema": "form",
    "with": "config", "spec": "config", "settings": "config",
    "query": "sql", "statement": "sql", "conn": "connection", "database": "connection", "dsn": "connection_string",
    "cmd": "command", "run": "command source", "cwd": "working_dir", "workdir": "working_dir",
    "environment": "env",
    "code": "source script", "program": "source", "script": "source", "lang": "language",
    "address": "url", "endpoint": "url", "uri": "url", "data": "body", "json": "body", "payload": "body data",
    "message": "text", "msg": "message text", "body": "text message", "recipient": "to", "recipients": "to",
    "channel": "url", "user": "username", "pass": "password",
    "bash": "script shell", "js": "script", "javascript": "script", "node": "script", "python": "script",
    "exec": "shell", "sh": "shell", "rest": "http", "request": "http",
    "mysql": "database", "postgres": "database", "postgresql": "database", "sqlite": "database",
    "mail": "email", "smtp": "email", "chat": "notify", "slack": "notify", "webhook": "notify",
    "echo": "log", "print": "log", "expression": "output", "set": "transform",
    "secret": "secrets", "workflow": "run", "flow": "run", "event": "trigger type",
}  # fmt: skip
"""Words of others, and ours for them; which it is depends on the place."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
LONGEST_WORD = 40
LONGEST_COMPARED = 100
MOST_COMPARED = 200
"""Names that a misspelt one is compared with: comparing is slow, and a definition may have 10,000."""


def _closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    wanted = name[:LONGEST_COMPARED]
    near = (one for one in known if abs(len(one) - len(wanted)) <= 2 + len(wanted) // 3)
    close = get_close_matches(wanted, list(islice(near, MOST_COMPARED)), n=1, cutoff=0.6)
    return close[0] if close else None


def _intended(word: str, known: Collection[str]) -> str | None:
    """The known word that the author of another one had in mind."""
    if len(word) <= LONGEST_WORD:
        plain = _HUMP.sub("_", word).replace("-", "_").replace(" ", "_").lower()
        for one in (plain, *_OURS.get(plain, "").split()):
            if one in known:
                return one
    return _closest(word, known)


def hint(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?`, or nothing. Looks at a bounded number of names, and shows no long one."""
    found = _intended(word, known)
    return "" if found is None else f"; did you mean {found!r}?"
