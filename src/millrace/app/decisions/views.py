"""How tasks that wait for a decision are shown: in their list, and with the single task run."""

from collections.abc import Mapping
from typing import TypeAlias

from millrace.app.decisions.repository import Wait
from millrace.core.values import to_iso

View: TypeAlias = Mapping[str, object]


def question_view(wait: Wait) -> View:
    """What is asked, and for how long."""
    return {
        "message": wait.message,
        "form": wait.form,
        "default": wait.default,
        "since": to_iso(wait.since),
        "until": None if wait.until is None else to_iso(wait.until),
    }


def approval_view(wait: Wait) -> View:
    return {
        "run_id": wait.run_id,
        "path": wait.path,
        "workflow": {"id": wait.workflow_id, "name": wait.workflow_name},
        **question_view(wait),
    }
