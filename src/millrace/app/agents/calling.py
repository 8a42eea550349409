"""Meets `ports.agents.Agents`: rows of the database, read at each call and never kept, with their circuits.

Credentials are opened here and made known to the masker before anybody gets them.
"""

import logging
from collections.abc import Callable, Mapping

import orjson
from sqlalchemy import Connection

from millrace.app.agents import repository
from millrace.app.agents.circuit import Circuit, CircuitRule
from millrace.app.agents.credentials import headers_of
from millrace.app.agents.limits import AgentLimits
from millrace.app.agents.repository import AgentRow
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.connections import secret_texts
from millrace.auth.vault.envelope import CannotOpen
from millrace.auth.vault.vault import Vault
from millrace.core.values import Instant, JsonObject, to_iso
from millrace.ports.agents import AgentRetry, AgentUnavailable, CircuitOpen, TakenAgent
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)


class StoredAgents:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        masker: SecretMasker,
        clock: Clock,
        rule: CircuitRule,
        limits: AgentLimits,
    ) -> None:
        self._database = database
        self._vault = vault
        self._masker = masker
        self.clock = clock
        """The one that circuits open and close by."""
        self._rule = rule
        self.limits = limits

    async def take(self, name: str) -> TakenAgent:
        row = await self._database.read_for_engine(lambda connection: repository.named(connection, name))
        if row is None:
            raise AgentUnavailable(
                f"there is no agent {name!r}, or no longer; make one with `millrace agents create {name}`"
            )
        if row.status != "active":
            remedy = f"`millrace agents update {name} --status active` makes it active"
            raise AgentUnavailable(f"the agent {name!r} is {row.status}; {remedy}")
        try:
            credentials = self.credentials(row)
        except CannotOpen as error:
            raise AgentUnavailable(f"the agent {name!r} cannot be called: {error}") from None
        trial = row.circuit_open_until is not None
        if trial:
            await self._try_again(row)
        retry = orjson.loads(row.retry_config)
        timeout = row.timeout_ms / 1_000
        return TakenAgent(
            row.id, name, row.url, credentials, timeout, AgentRetry(**retry), row.circuit_failures, trial=trial
        )

    async def worked(self, taken: TakenAgent) -> None:
        if taken.failures or taken.trial:
            await self._tell(taken, lambda circuit, _: circuit.after_success(trial=taken.trial))

    async def failed(self, taken: TakenAgent) -> None:
        await self._tell(taken, lambda circuit, now: circuit.after_failure(self._rule, now, trial=taken.trial))

    def credentials(self, row: AgentRow) -> Mapping[str, str]:
        """Headers that prove who calls. Raises `CannotOpen`."""
        return headers_of(row.auth_type, self.complete(row))

    def complete(self, row: AgentRow) -> JsonObject:
        """The `auth_config` with its secrets, known to the masker. Raises `CannotOpen`."""
        shown: JsonObject = orjson.loads(row.auth_config)
        if row.seal is None:
            return shown
        complete: JsonObject = orjson.loads(self._vault.open(row.subject, row.seal))
        self._masker.learn(secret_texts(shown, complete))
        return complete

    async def learn_all(self) -> None:
        """Let the masker know the credentials of every agent."""
        for row in await self._database.read(repository.all_sealed):
            try:
                self.complete(row)
            except CannotOpen:
                continue

    async def _try_again(self, row: AgentRow) -> None:
        """Raise `CircuitOpen` unless this call is the one that is tried."""
        now = self.clock.now()
        if row.circuit.free_at(now) is None:

            def claim(connection: Connection) -> Circuit | None:
                found = repository.circuit_of(connection, row.id)
                if found is None or found.free_at(now) is not None:
                    return found
                repository.set_circuit(connection, row.id, found.with_trial(now, row.timeout_ms * 1_000))
                return None

            found = await self._database.write(claim)
            if found is None:
                return
            raise _open(row.name, found, now)
        raise _open(row.name, row.circuit, now)

    async def _tell(self, taken: TakenAgent, change: Callable[[Circuit, Instant], Circuit]) -> None:
        now = self.clock.now()

        def work(connection: Connection) -> tuple[Circuit, Circuit] | None:
            before = repository.circuit_of(connection, taken.id)
            if before is None:
                return None
            after = change(before, now)
            if after != before:
                repository.set_circuit(connection, taken.id, after)
            return before, after

        try:
            told = await self._database.write(work)
        except StoreUnavailable as error:
            # What the call itself came to is worth more than this, and is reported by another way.
            logger.warning("the circuit of the agent %r could not be written: %s", taken.name, error)
            return
        if told is not None and told[0].open_until is None and told[1].open_until is not None:
            logger.warning("the circuit of the agent %r opens after %d failures", taken.name, told[1].failures)


def _open(name: str, circuit: Circuit, now: Instant) -> CircuitOpen:
    until = circuit.free_at(now) or now
    return CircuitOpen(
        f"the circuit of the agent {name!r} is open: it failed {circuit.failures} times in a row, and is not called "
        f"before {to_iso(until)}"
    )
