"""Reading webhooks: those of definitions, and those that were made by requests of their own."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.triggers import repository as rows
from millrace.app.triggers.repository import TriggerFilter
from millrace.app.triggers.routes import paths_of
from millrace.app.triggers.schedules import Schedules
from millrace.app.triggers.views import View, trigger_view
from millrace.app.webhooks.configs import UnusableConfig, config_of, webhook_use
from millrace.app.webhooks.repository import TYPE
from millrace.auth.secrets import SecretChain
from millrace.auth.sight import Sight
from millrace.core.errors import NotFound
from millrace.core.values import Instant
from millrace.ports.database import Database
from millrace.triggers.webhook.config import WebhookConfig

USUAL: Mapping[str, object] = WebhookConfig().model_dump(mode="json", exclude={"path", "auth"})
"""What holds where a config does not say otherwise."""

OF_TRIGGER = (
    *("id", "name", "workflow", "origin", "enabled", "active", "silent_because", "if", "input"),
    *("last_firing", "last_error", "counts", "created_at", "updated_at"),
)


class WebhookQueries:
    def __init__(self, database: Database, schedules: Schedules, secrets: SecretChain) -> None:
        self._database = database
        self._schedules = schedules
        self._secrets = secrets

    async def get(self, webhook_id: str) -> View:
        """With what keeps it from taking requests as things are now. Raises `NotFound`."""

        def read(connection: Connection) -> tuple[View, str, str] | None:
            row = rows.find(connection, webhook_id)
            if row is None or row["type"] != TYPE:
                return None
            paths = paths_of(connection, [webhook_id]).get(webhook_id, ())
            return self._view(row, paths, rows.now(connection)), row["config"], row["workflow_name"]

        found = await self._database.read(read)
        if found is None:
            raise unknown_webhook(webhook_id)
        view, config, workflow = found
        return {**view, "warnings": await self._warnings(config, workflow)}

    async def _warnings(self, config: str, workflow: str) -> list[str]:
        """As a definition is warned of when it is saved: the secret may come after the webhook."""
        try:
            named = config_of(config).authenticates.secrets
        except UnusableConfig as error:
            return [str(error)]
        unusable = await self._secrets.unusable(named, webhook_use(workflow)) if named else {}
        return [f"authentication: {reason}" for reason in unusable.values()]

    async def list(
        self, workflow_id: str | None, *, cursor: str | None, limit: int, sight: Sight | None = None
    ) -> Page[View]:
        """In the order in which they were made."""
        after = decode_text(cursor)
        narrow = TriggerFilter(types=(TYPE,), workflow_id=workflow_id, sight=sight)

        def read(connection: Connection) -> tuple[list[View], bool]:
            found = rows.list_triggers(connection, narrow, after=after, limit=limit + 1)
            paths, now = paths_of(connection, [row["id"] for row in found]), rows.now(connection)
            return [self._view(row, paths.get(row["id"], ()), now) for row in found[:limit]], len(found) > limit

        shown, more = await self._database.read(read)
        return Page(shown, encode_cursor(str(shown[-1]["id"])) if more else None)

    def _view(self, row: RowMapping, paths: Sequence[str], now: Instant) -> View:
        trigger = trigger_view(row, self._schedules, now)
        config = orjson.loads(row["config"])
        options = {name: config.get(name, usual) for name, usual in USUAL.items()}
        options["authentication"] = config.get("authentication") or config.get("auth") or {"type": "none"}
        return {
            **{name: trigger[name] for name in OF_TRIGGER},
            "url_path": f"/webhook/{paths[0]}" if paths else None,
            **options,
        }


def unknown_webhook(webhook_id: str) -> NotFound:
    return NotFound("webhook_not_found", f"there is no webhook with the id {webhook_id!r}")
