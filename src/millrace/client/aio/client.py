"""The client: groups of methods over one connection pool, and the one call that most callers want."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from millrace.client.aio.accounts import AsyncAccount
from millrace.client.aio.agents import AsyncAgents
from millrace.client.aio.approvals import AsyncApprovals
from millrace.client.aio.artifacts import AsyncArtifacts
from millrace.client.aio.audit import AsyncAudit
from millrace.client.aio.backfills import AsyncBackfills
from millrace.client.aio.canaries import AsyncCanaries
from millrace.client.aio.grants import AsyncGrants
from millrace.client.aio.identity import AsyncApiKeys, AsyncUsers
from millrace.client.aio.runs import AsyncRuns
from millrace.client.aio.system import AsyncArchive, AsyncDatabase, AsyncEvents, AsyncRetention, AsyncSystem
from millrace.client.aio.tasks import AsyncTasks
from millrace.client.aio.transport import AsyncTransport
from millrace.client.aio.triggers import AsyncTriggers
from millrace.client.aio.vault import AsyncConnections, AsyncSecrets
from millrace.client.aio.versions import AsyncDeployments, AsyncVersions
from millrace.client.aio.webhooks import AsyncWebhooks
from millrace.client.aio.workflows import AsyncWorkflows
from millrace.client.answers import part
from millrace.client.errors import InvalidArgument, RunFailed
from millrace.client.location import locate
from millrace.client.requests import StartOptions
from millrace.client.retrying import Retrying


class AsyncClient:
    """A client of one Millrace server.

    `url` and `api_key` are found as the command line finds them: `MILLRACE_URL` and `MILLRACE_API_KEY`, else the notes
    that a server on this machine leaves. `timeout` is the longest silence of the server in seconds, besides the time
    that it is asked to wait; `retries` how often a request that may be repeated is. `transport` replaces the network:
    a proxy of your own, a certificate authority, an application in this process.

    Close it with `async with` or `aclose()`. Raises `NoApiKey`, and `InvalidArgument` for what can be no URL or no key.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        *,
        retries: int = 4,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        if not timeout > 0:
            raise InvalidArgument("timeout", f"{timeout} is no time to wait; give seconds above 0")
        self._transport = AsyncTransport(
            locate(url, api_key), timeout=timeout, retrying=Retrying(retries), through=transport
        )
        self.workflows = AsyncWorkflows(self._transport)
        self.versions = AsyncVersions(self._transport)
        self.deployments = AsyncDeployments(self._transport)
        self.canaries = AsyncCanaries(self._transport)
        self.tasks = AsyncTasks(self._transport)
        self.runs = AsyncRuns(self._transport)
        self.approvals = AsyncApprovals(self._transport)
        self.triggers = AsyncTriggers(self._transport)
        self.backfills = AsyncBackfills(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.artifacts = AsyncArtifacts(self._transport)
        self.secrets = AsyncSecrets(self._transport)
        self.connections = AsyncConnections(self._transport)
        self.agents = AsyncAgents(self._transport)
        self.users = AsyncUsers(self._transport)
        self.grants = AsyncGrants(self._transport)
        self.api_keys = AsyncApiKeys(self._transport)
        self.account = AsyncAccount(self._transport)
        self.events = AsyncEvents(self._transport)
        self.audit = AsyncAudit(self._transport)
        self.retention = AsyncRetention(self._transport)
        self.archive = AsyncArchive(self._transport)
        self.database = AsyncDatabase(self._transport)
        self.system = AsyncSystem(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._transport.location.shown

    async def run(
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
        starting = AsyncRuns(self._transport.until(None if timeout is None else began + timeout))
        run = await starting.start(workflow, input, **options)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        run = await self.runs.wait(part(run, "id"), left)
        if part(run, "status") != "completed":
            raise RunFailed(run)
        return part(run, "output")

    async def aclose(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
