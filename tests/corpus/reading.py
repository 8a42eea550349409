"""The cases as they stand in `cases/*.yaml`. Each file is of one kind:

    about: what is bad about these
    request: POST /api/v1/workflows        # unless a case says otherwise
    expect: 422 invalid_definition         # status and code, unless a case says otherwise
    cases:
      - name: task-without-type
        changed: {tasks: [{id: a}]}
        at: tasks[0].type                  # the place of one of the faults; none is expected without it
        says: is missing                   # words of its message or remedy, or of `detail` without `at`; or a list

What is sent is one of: `changed` (a good definition with these fields), `task` (one with a task with these fields),
`cron` (one with a trigger with this config), `json` (any value), `yaml`, `text` (as JSON, broken or not), `bytes` (a
character each), `made` (a function of `made.py`), or `wire` (the whole request, a character a byte). `headers` go on
top of the usual ones; null takes one away. `{run}`, `{artifact}`, … in targets, headers and `wire` stand for what
`ground` has made.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.corpus import made

FOLDER = Path(__file__).parent / "cases"

JSON, YAML = "application/json", "application/yaml"

FILE_KEYS = {"about", "request", "expect", "cases"}


def definition(**changed: Any) -> dict[str, Any]:
    """A definition that is good but for what is changed."""
    return {"name": "corpus", "tasks": [{"id": "a", "type": "noop"}], **changed}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES: Mapping[str, Callable[[Any], bytes]] = {
    "changed": lambda fields: _json(definition(**fields)),
    "task": lambda fields: _json(definition(tasks=[{"id": "a", "type": "noop", **fields}])),
    "cron": lambda config: _json(definition(triggers=[{"id": "t", "type": "cron", "config": config}])),
    "json": _json,
    "yaml": str.encode,
    "text": str.encode,
    "bytes": lambda text: text.encode("latin-1"),
    "made": lambda name: getattr(made, name)(),
}
CASE_KEYS = {"name", "request", "expect", "headers", "at", "says", "wire", *BODIES}


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    kind: str
    method: str
    target: str
    status: int
    code: str
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    wire: str | None = None
    at: str | None = None
    says: tuple[str, ...] = ()


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(case for path in sorted(FOLDER.glob("*.yaml")) for case in _of_file(path))


def _of_file(path: Path) -> list[Case]:
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    _known(path.name, written, FILE_KEYS)
    usual = {key: written[key] for key in ("request", "expect") if key in written}
    return [_case(path.stem, {**usual, **case}) for case in written["cases"]]


def _case(kind: str, written: dict[str, Any]) -> Case:
    name = f"{kind}/{written['name']}"
    _known(name, written, CASE_KEYS)
    method, _, target = written["request"].partition(" ")
    status, code = written["expect"].split()
    media_type, body = _body(written)
    usual = {} if body is None else {"Content-Type": media_type}
    says = written.get("says", [])
    return Case(
        name=name,
        kind=kind,
        method=method,
        target=made.text(target),
        status=int(status),
        code=code,
        headers={**usual, **{key: _header(value) for key, value in written.get("headers", {}).items()}},
        body=body,
        wire=None if "wire" not in written else made.text(written["wire"]),
        at=written.get("at"),
        says=tuple(map(str, says if isinstance(says, list) else [says])),
    )


def _known(name: str, written: dict[str, Any], known: set[str]) -> None:
    if unknown := written.keys() - known:
        raise ValueError(f"{name}: there is no {', '.join(sorted(unknown))} in a case")


def _body(written: dict[str, Any]) -> tuple[str, bytes | None]:
    """Media type and body."""
    given = [key for key in BODIES if key in written]
    if len(given) > 1:
        raise ValueError(f"{written['name']}: one body, not {', '.join(given)}")
    if not given:
        return JSON, None
    return YAML if given == ["yaml"] else JSON, BODIES[given[0]](made.value(written[given[0]]))


def _header(value: Any) -> str | None:
    return None if value is None else made.text(str(value))
