"""The page of an approval as HTML, and what its form sends back. No script, nothing from elsewhere, every text escaped.

A field of the form stands for a property of the task's schema: text, number, choice and yes or no have fields of their
own, all else is written as JSON. What a field sends is text; the schema decides whether it fits.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from pydantic import ValidationError

from millrace.api.schemas.decisions import OpenDecisionBody
from millrace.app.decisions.deciding import LONGEST_COMMENT
from millrace.app.request_faults import of_body
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue

PREFIX: Final = "form."
"""Before the names of fields that the task asks for: a property may be called as ours are."""
LONG_TEXT: Final = 200
"""Characters above which a text has several lines."""

POLICY: Final = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

_AS_JSON: Final = {"object": 'a mapping such as {"name": "value"}', "array": 'a list such as ["a", "b"]'}
"""Kinds of values that are written as JSON, and how."""

_DATES = {"date": "date", "email": "email", "uri": "url"}


def told(heading: str, text: str, onward: tuple[str, str] | None = None) -> str:
    """A page that only says something; `onward`: the address and the words of a link."""
    link = "" if onward is None else f'\n<p><a href="{escape(onward[0])}">{escape(onward[1])}</a></p>'
    return _page(heading, f"<h1>{escape(heading)}</h1>\n<p>{escape(text)}</p>{link}")


def question(
    shown: JsonObject,
    approved: bool | None,
    given: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
) -> str:
    """The page with the message, the form and the buttons; `given`: what was sent before, and refused for `faults`."""
    workflow = shown["workflow"]
    name = str(workflow["name"]) if isinstance(workflow, dict) else ""
    until = shown["until"]
    form = shown["form"]
    parts = [
        "<h1>A decision is asked for</h1>",
        f"<p>Workflow <strong>{escape(name)}</strong>, task <code>{escape(str(shown['path']))}</code></p>",
        f'<p class="message">{escape(str(shown["message"]))}</p>',
        f"<p>It waits since {escape(str(shown['since']))}"
        + (f", until {escape(str(until))}" if until else "")
        + "</p>",
        *_summary(faults),
        '<form method="post">',
        *(_fields(form, given, faults) if isinstance(form, dict) and approved is not False else ()),
        *_comment(given, faults),
        f'<div class="buttons">{_buttons(approved)}</div>',
        "</form>",
    ]
    return _page("A decision is asked for", "\n".join(parts))


def wanted(form: JsonObject | None, given: Mapping[str, str]) -> OpenDecisionBody:
    """What the fields say. Who rejects has filled in nothing. Raises `InvalidRequest`."""
    sent: JsonObject = {name: given[name] for name in ("decision", "comment") if given.get(name)}
    if form is not None and sent.get("decision") == "approve":
        if faults := list(_no_json(form, given)):
            raise InvalidRequest("invalid_input", "the form is not filled in as it is asked for", faults=faults)
        sent["form"] = {name: value for name, value in _values(form, given)}
    try:
        return OpenDecisionBody.model_validate(sent)
    except ValidationError as error:
        faults = of_body(sent, error.errors(include_url=False, include_input=False), model=OpenDecisionBody)
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults) from None


# --- what fields send -------------------------------------------------------------------------------------------------


def _values(form: JsonObject, given: Mapping[str, str]) -> Iterator[tuple[str, JsonValue]]:
    """By property; an empty field is one that was left out, and a box without a mark says no."""
    for name, schema in _properties(form).items():
        text = given.get(PREFIX + name, "")
        kind = _kind(schema)
        if kind == "boolean":
            yield name, bool(text)
        elif text:
            yield name, text if kind == "string" else _choice(schema, text)


def _no_json(form: JsonObject, given: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with fields that are written as JSON and hold none."""
    for name, schema in _properties(form).items():
        text, example = given.get(PREFIX + name, ""), _AS_JSON.get(_kind(schema))
        if not text or example is None or isinstance(schema.get("enum"), list):
            continue
        try:
            json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            yield Fault(f"form.{name}", "json", f"{name} is nested too deeply", "write it with fewer levels")
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            yield Fault(f"form.{name}", "json", f"{name} is not JSON: {error.msg} at {where}", f"write {example}")
        except ValueError as error:
            yield Fault(f"form.{name}", "json", f"{name} is not JSON: {error}", f"write {example}")


def _choice(schema: JsonObject, text: str) -> JsonValue:
    """The value that a text stands for; the text itself if it is no JSON, which the schema then finds fault with."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        return next((choice for choice in choices if _written(choice) == text), text)
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    return value


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON number")


# --- fields -----------------------------------------------------------------------------------------------------------


def _fields(form: JsonObject, given: Mapping[str, str] | None, faults: Sequence[Fault]) -> Iterator[str]:
    required = form.get("required")
    for number, (name, schema) in enumerate(_properties(form).items()):
        needed = isinstance(required, list) and name in required
        field_id, label = f"field{number}", str(schema.get("title") or name)
        hint, said = _hint(schema), _said(faults, f"form.{name}")
        ids = [f"{field_id}-hint"] * bool(hint) + [f"{field_id}-fault"] * bool(said)
        about = {"id": field_id, "name": PREFIX + name, "aria-describedby": " ".join(ids) or None}
        yield f'<label for="{field_id}">{escape(label)}{" (required)" if needed else ""}</label>'
        if hint:
            yield f'<p class="hint" id="{field_id}-hint">{escape(hint)}</p>'
        if said:
            yield f'<p class="fault" id="{field_id}-fault">{escape(said)}</p>'
            about["aria-invalid"] = "true"
        value = _value(schema, None if given is None else given.get(PREFIX + name, ""))
        yield _field(schema, about, value, needed=needed)


def _hint(schema: JsonObject) -> str:
    """What the author says about a field, and how it is written where that is not plain."""
    example = None if isinstance(schema.get("enum"), list) else _AS_JSON.get(_kind(schema))
    told = [str(schema["description"])] if schema.get("description") else []
    return " ".join([*told, *([f"Written as JSON: {example}."] if example else [])])


def _field(schema: JsonObject, about: dict[str, str | None], value: str, *, needed: bool) -> str:
    kind, choices = _kind(schema), schema.get("enum")
    if kind == "boolean":
        return f"<input{_attributes({**about, 'type': 'checkbox', 'value': 'true'})}{' checked' if value else ''}>"
    if needed:
        about = {**about, "required": ""}
    if isinstance(choices, list):
        texts = ["", *map(_written, choices)]
        options = (f"<option{' selected' if text == value else ''}>{escape(text)}</option>" for text in texts)
        return f"<select{_attributes(about)}>{''.join(options)}</select>"
    longest = schema.get("maxLength")
    if kind in ("integer", "number"):
        step = "1" if kind == "integer" else "any"
        return f"<input{_attributes({**about, 'type': 'number', 'step': step, 'value': value})}>"
    if kind == "string" and (longest is None or (isinstance(longest, int) and longest <= LONG_TEXT)):
        form = _DATES.get(str(schema.get("format")), "text")
        return f"<input{_attributes({**about, 'type': form, 'value': value})}>"
    return f"<textarea{_attributes({**about, 'rows': '4'})}>\n{escape(value)}</textarea>"


def _comment(given: Mapping[str, str] | None, faults: Sequence[Fault]) -> Iterator[str]:
    yield '<label for="comment">Comment</label>'
    said = _said(faults, "comment")
    if said:
        yield f'<p class="fault" id="comment-fault">{escape(said)}</p>'
    attributes = {"id": "comment", "name": "comment", "rows": "3", "maxlength": str(LONGEST_COMMENT)}
    about = {**attributes, "aria-describedby": "comment-fault" if said else None}
    yield f"<textarea{_attributes(about)}>\n{escape((given or {}).get('comment', ''))}</textarea>"


def _buttons(approved: bool | None) -> str:
    approve = '<button name="decision" value="approve">Approve</button>'
    # Who rejects need not fill in what is needed to approve.
    reject = '<button name="decision" value="reject" formnovalidate>Reject</button>'
    return {True: approve, False: reject, None: f"{approve}\n{reject}"}[approved]


def _summary(faults: Sequence[Fault]) -> Iterator[str]:
    if faults:
        lines = "".join(f"<li>{escape(f'{fault.message}; {fault.remedy}')}</li>" for fault in faults[:20])
        yield f'<div role="alert"><p>This cannot be taken as it is:</p><ul>{lines}</ul></div>'


# --- texts ------------------------------------------------------------------------------------------------------------


def _properties(form: JsonObject) -> dict[str, JsonObject]:
    properties = form.get("properties")
    described = properties.items() if isinstance(properties, dict) else ()
    return {name: schema if isinstance(schema, dict) else {} for name, schema in described}


def _kind(schema: JsonObject) -> str:
    """The one type that a property has; "" for any other schema, and for a choice of other values than texts."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        return "string" if all(isinstance(choice, str) for choice in choices) else ""
    kind = schema.get("type")
    return kind if isinstance(kind, str) else ""


def _value(schema: JsonObject, given: str | None) -> str:
    """What stands in a field: what was given before, else the default of the schema."""
    if given is not None:
        return given
    default = schema.get("default")
    if default is None or (_kind(schema) == "boolean" and default is not True):
        return ""
    return _written(default)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _said(faults: Sequence[Fault], path: str) -> str:
    within = (f"{path}.", f"{path}[")
    return "; ".join(fault.message for fault in faults if fault.path == path or fault.path.startswith(within))


def _attributes(values: Mapping[str, str | None]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in values.items() if value is not None)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - Millrace</title>\n"
        '<link rel="stylesheet" href="../static/approval.css">\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
