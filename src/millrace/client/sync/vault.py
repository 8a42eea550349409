# Printed by scripts/print-client from aio/vault.py; changes belong there.
"""Secrets and connections: what tasks need to reach others, under names. Nothing secret ever comes out."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from millrace.client.requests import json_body, path_of
from millrace.client.sync.resource import Resource
from millrace.client.types import (
    ConnectionDetail,
    ConnectionPage,
    ConnectionTested,
    ConnectionView,
    Deleted,
    KeyRotated,
    SecretDetail,
    SecretPage,
    SecretView,
)


class Secrets(Resource):
    """`client.secrets`."""

    def list(self, *, cursor: str | None = None, limit: int = 50) -> SecretPage:
        """A page of the secrets of the database by name, without their values."""
        return cast(SecretPage, self._transport.get("/secrets", {"cursor": cursor, "limit": limit}))

    def iterate(self) -> Iterator[SecretView]:
        """All secrets of the database by name, without their values."""
        return self._transport.pages("/secrets", {})

    def get(self, name: str) -> SecretDetail:
        """What is known of a secret: everything but its value."""
        return cast(SecretDetail, self._transport.get(path_of("secrets", name)))

    def set(self, name: str, value: str, *, description: str | None = None) -> SecretDetail:
        """Set a secret, of 6 to 65536 characters; it holds for every task that starts from now on."""
        body = json_body(value=value, description=description)
        return cast(SecretDetail, self._transport.send("PUT", path_of("secrets", name), body))

    def delete(self, name: str) -> Deleted:
        """Delete a secret. The answer says which deployed workflows read it and will fail without it."""
        return cast(Deleted, self._transport.send("DELETE", path_of("secrets", name)))

    def rotate_key(self) -> KeyRotated:
        """Encrypt everything with a new key: one that is made now, or the one that MILLRACE_ENCRYPTION_KEY has."""
        return cast(KeyRotated, self._transport.send("POST", "/secrets/rotate-key"))


class Connections(Resource):
    """`client.connections`. What is secret in a connection is shown as `***`."""

    def list(self, *, type: str | None = None, cursor: str | None = None, limit: int = 50) -> ConnectionPage:
        """A page of the connections by name."""
        query = {"type": type, "cursor": cursor, "limit": limit}
        return cast(ConnectionPage, self._transport.get("/connections", query))

    def iterate(self, *, type: str | None = None) -> Iterator[ConnectionView]:
        """All connections by name."""
        return self._transport.pages("/connections", {"type": type})

    def get(self, name: str) -> ConnectionDetail:
        """A connection, with the deployed workflows that name it."""
        return cast(ConnectionDetail, self._transport.get(path_of("connections", name)))

    def set(
        self, name: str, type: str, config: Mapping[str, Any], *, description: str | None = None
    ) -> ConnectionDetail:
        """Set a connection; `***` in `config` keeps a secret that is there already.

        A database may be given as `{"connection_string": …}`, which is taken apart.
        """
        body = json_body(type=type, config=config, description=description)
        return cast(ConnectionDetail, self._transport.send("PUT", path_of("connections", name), body))

    def delete(self, name: str) -> Deleted:
        """Delete a connection. The answer says which deployed workflows name it and will fail without it."""
        return cast(Deleted, self._transport.send("DELETE", path_of("connections", name)))

    def test(self, name: str) -> ConnectionTested:
        """Connect once, as a task would, and say whether that works."""
        return cast(ConnectionTested, self._transport.send("POST", path_of("connections", name, "test")))
