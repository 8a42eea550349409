"""From the text in a trigger's row to what it means. The same text always means the same, so it is read once."""

from functools import lru_cache

import orjson
from pydantic import ValidationError

from millrace.app.request_faults import of_stored_config
from millrace.ports.secrets import SecretUse
from millrace.triggers.webhook.config import WebhookConfig

MAX_CACHED = 20_000


def webhook_use(workflow: str) -> SecretUse:
    """What a webhook of this workflow wants secrets for: to compare them. They go nowhere."""
    return SecretUse(workflow, "a webhook", keeps_to_hosts=True)


class UnusableConfig(Exception):
    """The config cannot be used; the message is for people."""


def config_of(text: str) -> WebhookConfig:
    """Raises `UnusableConfig`, though configs are checked when they are saved: an older release checked less."""
    known = _read(text)
    if isinstance(known, UnusableConfig):
        raise UnusableConfig(*known.args)
    return known


@lru_cache(MAX_CACHED)
def _read(text: str) -> WebhookConfig | UnusableConfig:
    given = orjson.loads(text)
    try:
        return WebhookConfig.model_validate(given)
    except ValidationError as error:
        return UnusableConfig(of_stored_config(given, error, WebhookConfig))
