"""Register, change and delete agents. Credentials go in here, and come out for calls alone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection

from millrace.app.agents import repository
from millrace.app.agents.bodies import HEALTH_PATH, AgentBody, AgentChange, RetryConfig
from millrace.app.agents.calling import StoredAgents
from millrace.app.agents.credentials import NOTHING, checked_credentials, refuse_elsewhere, refused
from millrace.app.agents.repository import DELETED, AgentRow
from millrace.app.agents.views import agent_view, unknown_agent
from millrace.app.connections.configs import ConfigForms
from millrace.app.usage.queries import users_of_agent
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.connections import secret_texts
from millrace.auth.vault.envelope import CannotOpen
from millrace.auth.vault.vault import Vault
from millrace.core.errors import Conflict, Fault
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.network import Addresses, AddressRefused

T = TypeVar("T")

WITHIN = 5.0
"""Seconds for a host name to be resolved; the client looks again at every call."""
PORTS = {"http": 80, "https": 443}

IfMatch: TypeAlias = Callable[[int], bool] | None
"""Whether the version that an agent has is one that the caller has seen."""


class AgentCommands:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        masker: SecretMasker,
        agents: StoredAgents,
        addresses: Addresses,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._masker = masker
        self._agents = agents
        self._addresses = addresses
        self.after_change: Callable[[], None] = _nobody

    async def create(self, body: AgentBody, *, by: str) -> JsonObject:
        """Register an agent. Raises `InvalidRequest`, and `Conflict` for a name that is taken."""
        await self._refuse_private(body.url)
        forms, _ = checked_credentials(body.auth_type or "none", body.auth_config or {}, NOTHING)
        self._masker.learn(secret_texts(forms.shown, forms.complete))
        row = self._new_row(body, by)

        def work(connection: Connection) -> AgentRow:
            if repository.named(connection, row.name) is not None:
                raise Conflict("name_taken", f"there is an agent named {row.name!r} already; names are unique")
            sealed = self._sealed(connection, row, forms)
            repository.add(connection, sealed)
            note(connection, Action.AGENT_CREATE, sealed.id, sealed.name, after=_noted(sealed))
            return sealed

        made = await self._written(work)
        return {**agent_view(made, self._clock.now()), "used_by": []}

    async def change(self, reference: str, body: AgentChange, *, by: str, if_match: IfMatch = None) -> JsonObject:
        """Change the fields that are given. Raises `NotFound`, `InvalidRequest`, and `Conflict` `stale_version`."""
        if body.url is not None:
            await self._refuse_private(body.url)

        def work(connection: Connection) -> tuple[AgentRow, list[JsonValue]]:
            before = _current(connection, reference, body.version, if_match)
            after = self._changed(connection, before, body, by)
            repository.save(connection, after)
            note(connection, Action.AGENT_UPDATE, after.id, after.name, before=_noted(before), after=_noted(after))
            return after, users_of_agent(connection, after.name)

        row, users = await self._written(work)
        return {**agent_view(row, self._clock.now()), "used_by": users}

    async def delete(self, reference: str, *, by: str, force: bool = False, if_match: IfMatch = None) -> JsonObject:
        """Delete an agent and its credentials; answers the deployed workflows that will fail without it.

        Raises `NotFound`, and `Conflict` if there are such workflows, unless `force`.
        """

        def work(connection: Connection) -> tuple[AgentRow, list[JsonValue]]:
            row = _current(connection, reference, None, if_match)
            users = users_of_agent(connection, row.name)
            if users and not force:
                raise _in_use(row.name, users)
            now = self._clock.now()
            gone = replace(row, status=DELETED, sealed=None, key_id=None, updated_by=by, updated_at=now)
            repository.save(connection, replace(gone, version=row.version + 1))
            note(connection, Action.AGENT_DELETE, row.id, row.name, before=_noted(row))
            return row, users

        row, users = await self._written(work)
        return {"id": row.id, "name": row.name, "used_by": users}

    async def _written(self, work: Callable[[Connection], T]) -> T:
        """Do the work; when it is answered, limits hold here as they were set, and others are told to look."""
        done = await self._database.write(work)
        await self._agents.limits.run_once()
        self.after_change()
        return done

    async def _refuse_private(self, url: str) -> None:
        """What has no address now, or none in time, may have one later; the client refuses it then."""
        parts = urlsplit(url)
        try:
            with suppress(OSError):
                async with asyncio.timeout(WITHIN):
                    await self._addresses.resolve(str(parts.hostname), parts.port or PORTS[parts.scheme.lower()])
        except AddressRefused as error:
            remedy = "allow it in the settings of Millrace, or use a public address"
            raise refused(Fault("url", "address_refused", str(error), remedy)) from None

    def _new_row(self, body: AgentBody, by: str) -> AgentRow:
        now = self._clock.now()
        return AgentRow(
            id=self._ids.new(),
            name=body.name,
            url=body.url,
            description=body.description,
            auth_type=body.auth_type or "none",
            auth_config="{}",
            sealed=None,
            key_id=None,
            timeout_ms=body.timeout_ms or 30_000,
            retry_config=(body.retry_config or RetryConfig()).model_dump_json(),
            max_concurrent=body.max_concurrent,
            health_path=HEALTH_PATH if body.health_path is None else body.health_path,
            status=body.status or "active",
            version=1,
            created_by=by,
            updated_by=by,
            created_at=now,
            updated_at=now,
        )

    def _changed(self, connection: Connection, before: AgentRow, body: AgentChange, by: str) -> AgentRow:
        plain = ("url", "description", "timeout_ms", "max_concurrent", "health_path", "status")
        given = {name: getattr(body, name) for name in plain if name in body.model_fields_set}
        if body.retry_config is not None:
            given["retry_config"] = body.retry_config.model_dump_json()
        row = replace(before, **given, version=before.version + 1, updated_by=by, updated_at=self._clock.now())
        if row.url != before.url:
            # What was known of the other place says nothing about this one.
            row = replace(row, circuit_failures=0, circuit_open_until=None, circuit_trial_until=None)
            row = replace(row, health="unknown", health_message=None, health_latency_ms=None, health_claimed_at=None)
        auth_type, forms = self._credentials(before, row, body)
        self._masker.learn(secret_texts(forms.shown, forms.complete))
        return self._sealed(connection, replace(row, auth_type=auth_type), forms)

    def _credentials(self, before: AgentRow, row: AgentRow, body: AgentChange) -> tuple[str, ConfigForms]:
        """The credentials after a change; those that stay do not go to another server."""
        auth_type = body.auth_type or before.auth_type
        try:
            known = ConfigForms(orjson.loads(before.auth_config), self._agents.complete(before))
        except CannotOpen:
            known = NOTHING
        if auth_type != before.auth_type:
            return auth_type, checked_credentials(auth_type, body.auth_config or {}, NOTHING)[0]
        if body.auth_config is None and known is NOTHING and before.sealed is not None:
            message = "the credentials that are kept cannot be read any more, and must be given again"
            raise refused(Fault("auth_config", "secret_needed", message, "give auth_config, too"))
        given = known.shown if body.auth_config is None else body.auth_config
        forms, kept = checked_credentials(auth_type, given, known)
        if kept:
            refuse_elsewhere(before.url, row.url)
        return auth_type, forms

    def _sealed(self, connection: Connection, row: AgentRow, forms: ConfigForms) -> AgentRow:
        shown = orjson.dumps(forms.shown).decode()
        if not forms.secret:
            return replace(row, auth_config=shown, sealed=None, key_id=None)
        sealed = self._vault.seal(connection, row.subject, orjson.dumps(forms.complete).decode())
        return replace(row, auth_config=shown, sealed=sealed.text, key_id=sealed.key_id)


def _noted(row: AgentRow) -> JsonObject:
    """With masks in place of the credentials."""
    told = fields(row, "url", "description", "auth_type", "timeout_ms", "max_concurrent", "health_path", "status")
    written = {"auth_config": orjson.loads(row.auth_config), "retry_config": orjson.loads(row.retry_config)}
    return {**told, **written, "version": row.version}


def _current(connection: Connection, reference: str, version: int | None, if_match: IfMatch) -> AgentRow:
    row = repository.find(connection, reference)
    if row is None or row.status == DELETED:
        raise unknown_agent(reference)
    if (version is not None and version != row.version) or (if_match is not None and not if_match(row.version)):
        message = f"the agent {row.name!r} has changed since: it is at version {row.version}; read it again"
        raise Conflict("stale_version", f"{message} and repeat the change")
    return row


def _in_use(name: str, users: list[JsonValue]) -> Conflict:
    names = [repr(user["name"]) for user in users if isinstance(user, dict)]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    message = f"the agent {name!r} is named by deployed workflows, which would fail without it: {shown}"
    return Conflict(
        "agent_in_use", f"{message}; change them first, or send force=true (`millrace agents delete --force`)"
    )


def _nobody() -> None:
    return None
