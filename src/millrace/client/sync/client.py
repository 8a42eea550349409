# Printed by scripts/print-client from aio/client.py; changes belong there.
"""The client: groups of methods over one connection pool, and the one call that most callers want."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from millrace.client.answers import part
from millrace.client.errors import InvalidArgument, RunFailed
from millrace.client.location import locate
from millrace.client.requests import StartOptions
from millrace.client.retrying import Retrying
from millrace.client.sync.accounts import Account
from millrace.client.sync.agents import Agents
from millrace.client.sync.approvals import Approvals
from millrace.client.sync.artifacts import Artifacts
from millrace.client.sync.audit import Audit
from millrace.client.sync.backfills import Backfills
from millrace.client.sync.canaries import Canaries
from millrace.client.sync.grants import Grants
from millrace.client.sync.identity import ApiKeys, Users
from millrace.client.sync.runs import Runs
from millrace.client.sync.system import Archive, Database, Events, Retention, System
from millrace.client.sync.tasks import Tasks
from millrace.client.sync.transport import Transport
from millrace.client.sync.triggers import Triggers
from millrace.client.sync.vault import Connections, Secrets
from millrace.client.sync.versions import Deployments, Versions
from millrace.client.sync.webhooks import Webhooks
from millrace.client.sync.workflows import Workflows


class Client:
    """A client of one Millrace server.

    `url` and `api_key` are found as the command line finds them: `MILLRACE_URL` and `MILLRACE_API_KEY`, else the notes
    that a server on this machine leaves. `timeout` is the longest silence of the server in seconds, besides the time
    that it is asked to wait; `retries` how often a request that may be repeated is. `transport` replaces the network:
    a proxy of your own, a certificate authority, an application in this process.

    Close it with `with` or `close()`. Raises `NoApiKey`, and `InvalidArgument` for what can be no URL or no key.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        *,
        retries: int = 4,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        if not timeout > 0:
            raise InvalidArgument("timeout", f"{timeout} is no time to wait; give seconds above 0")
        self._transport = Transport(
            locate(url, api_key), timeout=timeout, retrying=Retrying(retries), through=transport
        )
        self.workflows = Workflows(self._transport)
        self.versions = Versions(self._transport)
        self.deployments = Deployments(self._transport)
        self.canaries = Canaries(self._transport)
        self.tasks = Tasks(self._transport)
        self.runs = Runs(self._transport)
        self.approvals = Approvals(self._transport)
        self.triggers = Triggers(self._transport)
        self.backfills = Backfills(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.artifacts = Artifacts(self._transport)
        self.secrets = Secrets(self._transport)
        self.connections = Connections(self._transport)
        self.agents = Agents(self._transport)
        self.users = Users(self._transport)
        self.grants = Grants(self._transport)
        self.api_keys = ApiKeys(self._transport)
        self.account = Account(self._transport)
        self.events = Events(self._transport)
        self.audit = Audit(self._transport)
        self.retention = Retention(self._transport)
        self.archive = Archive(self._transport)
        self.database = Database(self._transport)
        self.system = System(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._transport.location.shown

    def run(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[StartOptions],
    ) -> Any:
        """Start a run, wait until it has finished, and answer its output. `options` are those of `runs.start`.

        Raises `RunFailed` when it fails or is cancelled, `WaitTimeout` when it has not finished after `timeout`
        seconds; the run goes on then. When the start itself is not answered in that time it raises `Unreachable`, and
        the run may have been started: give an `idempotency_key` to find out by starting it again.
        """
        began = time.monotonic()
        starting = Runs(self._transport.until(None if timeout is None else began + timeout))
        run = starting.start(workflow, input, **options)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        run = self.runs.wait(part(run, "id"), left)
        if part(run, "status") != "completed":
            raise RunFailed(run)
        return part(run, "output")

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
