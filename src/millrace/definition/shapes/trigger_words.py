"""Triggers as envelopes and graphs write them: `{"trigger_type": "CRON", "configuration": {...}, "is_active": true}`.

Types are read in any case of letters, and what other programs call the fields of a config gets the canonical name.
"""

from collections.abc import Mapping

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.model import TRIGGER_TYPES
from millrace.definition.shapes.config_names import with_canonical_names
from millrace.definition.shapes.rewritten import Places

TYPE, CONFIGURATION, ACTIVE = "trigger_type", "configuration", "is_active"
OWN = (TYPE, CONFIGURATION, ACTIVE)

CONFIG_NAMES: Mapping[str, Mapping[str, str]] = {
    "cron": {
        "cron_expression": "expression", "cron": "expression", "schedule": "expression",
        "time_zone": "timezone", "tz": "timezone",
    },
    "interval": {"interval": "every", "interval_seconds": "every", "time_zone": "timezone", "tz": "timezone"},
    "once": {"run_at": "at", "scheduled_at": "at", "time_zone": "timezone", "tz": "timezone"},
    "webhook": {
        "webhook_path": "path", "url_path": "path", "method": "methods", "http_method": "methods",
        "http_methods": "methods", "allowed_methods": "methods",
    },
    "event": {"event_types": "event_type", "event_source": "source"},
    "email": {"filter": "email_filter", "check_interval_seconds": "check_interval"},
    "github": {"repo": "repository", "event_config": "events"},
}  # fmt: skip
"""By type: names of others, and the field of the canonical config."""

REQUIRE_AUTH, AUTHENTICATION = "require_auth", "authentication"
GUARDED: JsonObject = {"type": "api_key", "value": "{{ secrets.webhook_api_key }}"}
"""What `require_auth: true` stands for where it is not said how: nobody may call until that secret is there."""


def with_trigger_words(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places]:
    """`raw` with canonical triggers, and where their parts stand in `raw`."""
    triggers = raw.get("triggers")
    if not isinstance(triggers, list) or not any(_is_foreign(trigger) for trigger in triggers):
        return raw, {}
    places: Places = {}
    made = [
        _trigger(trigger, at("triggers", number), places, faults) if _is_foreign(trigger) else trigger
        for number, trigger in enumerate(triggers)
    ]
    return {**raw, "triggers": made}, places


def type_of(word: str) -> str | None:
    """The trigger type that a word means: `CRON`, `TRIGGER_CRON` and `cron` are one."""
    name = word.strip().lower().replace("-", "_").replace(" ", "_")
    name = name.removeprefix("trigger_").removesuffix("_trigger")
    return name if name in TRIGGER_TYPES else None


def canonical_config(
    kind: str, config: JsonObject, path: str, original: str, places: Places, faults: FaultList
) -> JsonObject:
    """A config with the canonical names of its fields. `path` is where it goes, `original` where it stands."""
    names = CONFIG_NAMES.get(kind, {})
    if kind != "webhook":
        return with_canonical_names(config, names, path, original, places, faults)
    given = {key: value for key, value in config.items() if key != REQUIRE_AUTH}
    made = with_canonical_names(given, names, path, original, places, faults)
    if isinstance(made.get("methods"), str):
        made["methods"] = [made["methods"]]
    _guard(made, config.get(REQUIRE_AUTH), path, original, places, faults)
    return made


def _is_foreign(trigger: JsonValue) -> bool:
    return isinstance(trigger, dict) and (TYPE in trigger or CONFIGURATION in trigger)


def _trigger(trigger: JsonValue, path: str, places: Places, faults: FaultList) -> JsonValue:
    if not isinstance(trigger, dict):
        return trigger
    for foreign, ours in ((TYPE, "type"), (CONFIGURATION, "config"), (ACTIVE, "enabled")):
        if foreign in trigger and ours in trigger:
            message = f"{foreign} and {ours} say the same thing"
            faults.add(at(path, foreign), "contradiction", message, f"write one of them; here it is called {ours}")
    made = {key: value for key, value in trigger.items() if key not in OWN}
    word = trigger.get(TYPE)
    kind = type_of(word) if isinstance(word, str) else None
    if TYPE in trigger:
        places[at(path, "type")] = at(path, TYPE)
        made["type"] = kind or word
    config, original = trigger.get(CONFIGURATION), at(path, CONFIGURATION)
    if config is not None:
        place = at(path, "config")
        places[place] = original
        known = kind or str(made.get("type"))
        made["config"] = (
            canonical_config(known, config, place, original, places, faults) if isinstance(config, dict) else config
        )
    active = trigger.get(ACTIVE)
    if active is not None and active is not True:
        made["enabled"] = active
        places[at(path, "enabled")] = at(path, ACTIVE)
    return made


def _guard(made: JsonObject, required: JsonValue, path: str, original: str, places: Places, faults: FaultList) -> None:
    """What `require_auth` says about who may call."""
    place, given = at(original, REQUIRE_AUTH), made.get(AUTHENTICATION) or made.get("auth")
    open_to_all = given is None or (isinstance(given, dict) and given.get("type") == "none")
    if required is None:
        return
    if not isinstance(required, bool):
        message = f"{REQUIRE_AUTH} must be true or false, not {kind_of(required)}"
        faults.add(place, "type", message, "write true or false")
    elif required is open_to_all and given is not None:
        message = f"{REQUIRE_AUTH}: {str(required).lower()} contradicts {AUTHENTICATION}"
        faults.add(place, "contradiction", message, f"leave out {REQUIRE_AUTH}: {AUTHENTICATION} says it all")
    elif required and given is None:
        made[AUTHENTICATION] = dict(GUARDED)
        places[at(path, AUTHENTICATION)] = place
