"""Secrets and connections: what tasks need to reach others, under names. Nothing secret ever comes out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import UNSET, Unset, given, json_body, path_of, scoped
from millrace.client.types import (
    ConnectionDetail,
    ConnectionPage,
    ConnectionTested,
    ConnectionView,
    Deleted,
    KeptVersions,
    KeyRotated,
    OutsideSecret,
    OutsideSecretPage,
    SecretDetail,
    SecretPage,
    SecretView,
)


class AsyncSecrets(AsyncResource):
    """`client.secrets`."""

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> SecretPage:
        """A page of the secrets of the database by name, without their values."""
        return cast(SecretPage, await self._transport.get("/secrets", {"cursor": cursor, "limit": limit}))

    def iterate(self) -> AsyncIterator[SecretView]:
        """All secrets of the database by name, without their values."""
        return self._transport.pages("/secrets", {})

    async def outside(self, *, cursor: str | None = None, limit: int = 50) -> OutsideSecretPage:
        """A page of the names that the environment and the folder of the server define."""
        query = {"cursor": cursor, "limit": limit}
        return cast(OutsideSecretPage, await self._transport.get("/outside-secrets", query))

    def iterate_outside(self) -> AsyncIterator[OutsideSecret]:
        """All of them."""
        return self._transport.pages("/outside-secrets", {})

    async def get(self, name: str) -> SecretDetail:
        """What is known of a secret: everything but its value."""
        return cast(SecretDetail, await self._transport.get(path_of("secrets", name)))

    async def set(
        self,
        name: str,
        value: str,
        *,
        description: str | None = None,
        workflows: Sequence[str] | Unset | None = UNSET,
        hosts: Sequence[str] | Unset | None = UNSET,
    ) -> SecretDetail:
        """Set a secret, of 6 to 65536 characters; it holds for every task that starts from now on.

        `workflows`: names of those that may use it. `hosts`: those that it may be sent to, such as `api.example.com`,
        `*.example.com` or `10.0.0.7:8443`. `None` is for all; what is not given stays as it is.
        """
        body = scoped(given({"value": value, "description": description}), workflows=workflows, hosts=hosts)
        return cast(SecretDetail, await self._transport.send("PUT", path_of("secrets", name), body))

    async def scope(
        self,
        name: str,
        *,
        workflows: Sequence[str] | Unset | None = UNSET,
        hosts: Sequence[str] | Unset | None = UNSET,
    ) -> SecretDetail:
        """Say anew what a secret is for, without its value, in the words of `set`; hosts that it could not be sent to
        so far are refused: they take its value."""
        body = scoped({}, workflows=workflows, hosts=hosts)
        return cast(SecretDetail, await self._transport.send("PATCH", path_of("secrets", name), body))

    async def delete(self, name: str) -> Deleted:
        """Delete a secret. The answer says which deployed workflows read it and will fail without it."""
        return cast(Deleted, await self._transport.send("DELETE", path_of("secrets", name)))

    async def versions(self, name: str) -> KeptVersions:
        """The last versions of a secret, the newest first: numbers, by whom and when; never a value."""
        return cast(KeptVersions, await self._transport.get(path_of("secrets", name, "versions")))

    async def rollback(self, name: str, version: int) -> SecretDetail:
        """Have a former value hold again, as a new version."""
        path = path_of("secrets", name, "rollback")
        return cast(SecretDetail, await self._transport.send("POST", path, json_body(version=version)))

    async def rotate_key(self) -> KeyRotated:
        """Encrypt everything with a new key: one that is made now, or the one that MILLRACE_ENCRYPTION_KEY has."""
        return cast(KeyRotated, await self._transport.send("POST", "/secrets/rotate-key"))


class AsyncConnections(AsyncResource):
    """`client.connections`. What is secret in a connection is shown as `***`."""

    async def list(self, *, type: str | None = None, cursor: str | None = None, limit: int = 50) -> ConnectionPage:
        """A page of the connections by name."""
        query = {"type": type, "cursor": cursor, "limit": limit}
        return cast(ConnectionPage, await self._transport.get("/connections", query))

    def iterate(self, *, type: str | None = None) -> AsyncIterator[ConnectionView]:
        """All connections by name."""
        return self._transport.pages("/connections", {"type": type})

    async def get(self, name: str) -> ConnectionDetail:
        """A connection, with the deployed workflows that name it."""
        return cast(ConnectionDetail, await self._transport.get(path_of("connections", name)))

    async def set(
        self,
        name: str,
        type: str,
        config: Mapping[str, Any],
        *,
        description: str | None = None,
        workflows: Sequence[str] | Unset | None = UNSET,
    ) -> ConnectionDetail:
        """Set a connection; `***` in `config` keeps a secret that is there already.

        A database may be given as `{"connection_string": …}`, which is taken apart. `workflows`: names of those that
        may use it, `None` for all; if not given, it stays as it is.
        """
        body = scoped(given({"type": type, "config": config, "description": description}), workflows=workflows)
        return cast(ConnectionDetail, await self._transport.send("PUT", path_of("connections", name), body))

    async def scope(self, name: str, *, workflows: Sequence[str] | None) -> ConnectionDetail:
        """Say anew which workflows may use a connection, `None` for all; what it says stays as it is."""
        body = scoped({}, workflows=workflows)
        return cast(ConnectionDetail, await self._transport.send("PATCH", path_of("connections", name), body))

    async def delete(self, name: str) -> Deleted:
        """Delete a connection. The answer says which deployed workflows name it and will fail without it."""
        return cast(Deleted, await self._transport.send("DELETE", path_of("connections", name)))

    async def versions(self, name: str) -> KeptVersions:
        """The last versions of a connection, the newest first: numbers, by whom and when."""
        return cast(KeptVersions, await self._transport.get(path_of("connections", name, "versions")))

    async def rollback(self, name: str, version: int) -> ConnectionDetail:
        """Have a connection say again what a former version said, as a new version."""
        path = path_of("connections", name, "rollback")
        return cast(ConnectionDetail, await self._transport.send("POST", path, json_body(version=version)))

    async def test(self, name: str) -> ConnectionTested:
        """Connect once, as a task would, and say whether that works."""
        return cast(ConnectionTested, await self._transport.send("POST", path_of("connections", name, "test")))
