"""The kinds of nodes in a graph, and what tasks and configs they become. docs/shapes.md lists them for users.

A kind is told by `node_type` (or `type`) and `subtype`, in any case of letters: `ACTION_NODE` with `HTTP_REQUEST`,
`HTTP_REQUEST` alone and `http` are one. What no task stands for is refused by name, never dropped.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.core.values import JsonObject
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.shapes.trigger_words import type_of
from millrace.definition.words import hint

BRANCH = "if"
TRIGGERS = ("TRIGGER_CRON", "TRIGGER_MANUAL", "TRIGGER_WEBHOOK", "TRIGGER_EMAIL", "TRIGGER_GITHUB")

FAMILIES = frozenset({"action", "external_action", "flow", "tool", "human_in_the_loop", "trigger"})
"""Words that need a subtype to say what a node does."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "http": ("http", "http_request", "api_call", "rest_api"),
    "database": ("database", "sql", "query", "postgres", "postgresql", "mysql", "mariadb", "sqlite"),
    "shell": ("shell", "command", "execute_command", "bash"),
    "script": ("script", "code", "run_code", "python", "javascript"),
    "agent": ("agent", "ai_agent"),
    "email": ("email", "send_email", "smtp"),
    "notify": ("notify", "notification", "slack"),
    "transform": ("transform", "set", "data_mapping", "data_transformation"),
    "publish_event": ("publish_event",),
    "log": ("log",),
    "noop": ("noop", "no_op", "merge"),
    "sleep": ("sleep", "wait", "delay"),
    "approval": ("approval",),
    "sub_workflow": ("sub_workflow", "execute_workflow"),
    BRANCH: ("if", "condition"),
}
"""By task type, the words for it; a branch becomes a transform task that its `condition` is the output of."""

PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "http": {
        "http_method": "method", "query_parameters": "query", "query_params": "query", "data": "body",
        "payload": "body", "authentication": "auth",
    },
    "database": {"query": "sql", "statement": "sql", "params": "parameters"},
    "shell": {"cmd": "command", "cwd": "working_dir", "env_vars": "env", "environment": "env"},
    "script": {"code": "source", "env_vars": "env", "environment": "env"},
    "agent": {"agent_name": "agent"},
    "email": {"recipients": "to", "sender": "from", "body": "text", "message": "text"},
    "notify": {"webhook_url": "url", "message": "text"},
    "transform": {"value": "output", "values": "output", "mapping": "output"},
    "sleep": {"delay": "duration", "seconds": "duration"},
    "sub_workflow": {"workflow_id": "workflow", "workflow_name": "workflow"},
    BRANCH: {"expression": "condition"},
}  # fmt: skip
"""By task type: names of parameters that are called otherwise in its config."""

LANGUAGES = {"python": "python", "javascript": "node", "bash": "bash"}
"""What a word for a script says about its language."""

_WORDS = {word: kind for kind, words in KINDS.items() for word in words}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class NodeKind:
    """What a node becomes: a trigger of this type, a task of this type, or a branch. `word`: what it was called."""

    type: str
    word: str
    is_trigger: bool = False

    @property
    def is_branch(self) -> bool:
        return not self.is_trigger and self.type == BRANCH


def is_trigger_node(node: JsonObject) -> bool:
    """Whether a node starts runs, whatever else is wrong with it."""
    word = node.get("node_type", node.get("type"))
    return isinstance(word, str) and _plain(word).startswith("trigger")


def kind_of_node(node: JsonObject, path: str, faults: FaultList) -> NodeKind | None:
    """What a node is; `None` and a fault if that cannot be told."""
    field = "type" if "node_type" not in node and "type" in node else "node_type"
    family, subtype = _text(node, field, path, faults), _text(node, "subtype", path, faults)
    if family is None or subtype is None:
        return None
    if not family and not subtype:
        faults.add(at(path, field), "missing", f"{field} is missing", f"say what the node does: {_choices()}")
        return None
    if _plain(family).startswith("trigger"):
        named_by = field if not subtype and _plain(family) != "trigger" else "subtype"
        return _trigger(subtype or family, at(path, named_by), faults)
    return _task(_plain(family), subtype, path, field, faults)


def config_names(kind: str) -> Mapping[str, str]:
    """Parameters that are called otherwise in the config."""
    return PARAMETERS.get(kind, {})


def _trigger(word: str, place: str, faults: FaultList) -> NodeKind | None:
    kind = type_of(_plain(word))
    if kind is not None:
        return NodeKind(kind, word, is_trigger=True)
    remedy = f"write subtype: one of {', '.join(TRIGGERS)}"
    if _plain(word) == "trigger":
        faults.add(place, "missing", "subtype is missing", remedy)
    else:
        faults.add(place, "unknown_type", f"there is no kind of trigger {word!r}{hint(word.upper(), TRIGGERS)}", remedy)
    return None


def _task(family: str, subtype: str, path: str, field: str, faults: FaultList) -> NodeKind | None:
    word = _without_family(_plain(subtype))
    outer, inner = _WORDS.get(family), _WORDS.get(word)
    of_family = not family or family in FAMILIES
    if not subtype and outer is not None:
        return NodeKind(outer, family)
    if subtype and outer == "agent":
        return NodeKind(outer, family)
    if subtype and inner is not None and (of_family or inner == outer):
        return NodeKind(inner, word)
    if not subtype and of_family:
        message = f"a node of the type {family} needs a subtype"
        faults.add(at(path, "subtype"), "missing", message, f"say what the node does: {_choices()}")
    elif outer is not None and inner is not None:
        message = f"the subtype {subtype} is of another kind than the {field}"
        faults.add(at(path, "subtype"), "contradiction", message, "leave out one of them")
    else:
        wrong, place = (subtype, "subtype") if subtype and (of_family or outer is not None) else (family, field)
        message = f"there is no task for a node of the kind {wrong!r}{hint(_plain(wrong), _WORDS)}"
        remedy = f"the kinds are {_choices()}; loops, filters and the like are written in the canonical shape"
        faults.add(at(path, place), "unknown_type", message, remedy)
    return None


def _text(node: JsonObject, field: str, path: str, faults: FaultList) -> str | None:
    """The text of a field, empty if there is none; `None` and a fault for anything else."""
    value = node.get(field)
    if value is None or isinstance(value, str):
        return (value or "").strip()
    faults.add(at(path, field), "type", f"{field} must be text, not {kind_of(value)}", f"write one of {_choices()}")
    return None


def _plain(word: str) -> str:
    """`HTTP_REQUEST_NODE`, `httpRequest` and `Http Request` are `http_request`."""
    return re.sub(r"[\s-]+", "_", _HUMP.sub("_", word.strip())).lower().removesuffix("_node")


def _without_family(word: str) -> str:
    for family in FAMILIES:
        if word.startswith(f"{family}_") and word not in _WORDS:
            return word.removeprefix(f"{family}_")
    return word


def _choices() -> str:
    return ", ".join(words[1] if len(words) > 1 and kind == "http" else words[0] for kind, words in KINDS.items())
