# Printed by scripts/print-client from aio/accounts.py; changes belong there.
"""The account that the client uses, by its key: who it is, its password, its logins."""

from collections.abc import Iterator
from typing import cast

from millrace.client.requests import Body, path_of
from millrace.client.sync.resource import Resource
from millrace.client.types import Ended, Me, PersonalData, SessionPage, SessionView


class Account(Resource):
    """`client.account`."""

    def get(self) -> Me:
        """Who you are, and what you may do with this key."""
        return cast(Me, self._transport.get("/auth/me"))

    def personal_data(self) -> PersonalData:
        """All that is kept of you."""
        return cast(PersonalData, self._transport.get("/auth/me/personal-data"))

    def rename(self, name: str) -> Me:
        """Change the name that others see."""
        return cast(Me, self._transport.send("PATCH", "/auth/me", Body({"name": name})))

    def change_password(self, old_password: str, new_password: str) -> None:
        """Change the password; all logins end. Raises `Forbidden` if the old one is wrong."""
        body = Body({"old_password": old_password, "new_password": new_password})
        self._transport.send("POST", "/auth/password", body)

    def sessions(self, *, cursor: str | None = None, limit: int = 50) -> SessionPage:
        """A page of where you are logged in, the newest first."""
        return cast(SessionPage, self._transport.get("/auth/sessions", {"cursor": cursor, "limit": limit}))

    def iterate_sessions(self) -> Iterator[SessionView]:
        """All of them."""
        return self._transport.pages("/auth/sessions", {})

    def end_session(self, session: str) -> None:
        """End one of your logins. Raises `NotFound`."""
        self._transport.send("DELETE", path_of("auth", "sessions", session))

    def log_out_everywhere(self) -> Ended:
        """End all your logins; API keys stay."""
        return cast(Ended, self._transport.send("POST", "/auth/logout-everywhere"))
