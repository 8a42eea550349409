"""The account that the client uses, by its key: who it is, its password, its logins."""

from collections.abc import AsyncIterator
from typing import cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import Body, path_of
from millrace.client.types import Ended, Me, PersonalData, SessionPage, SessionView


class AsyncAccount(AsyncResource):
    """`client.account`."""

    async def get(self) -> Me:
        """Who you are, and what you may do with this key."""
        return cast(Me, await self._transport.get("/auth/me"))

    async def personal_data(self) -> PersonalData:
        """All that is kept of you."""
        return cast(PersonalData, await self._transport.get("/auth/me/personal-data"))

    async def rename(self, name: str) -> Me:
        """Change the name that others see."""
        return cast(Me, await self._transport.send("PATCH", "/auth/me", Body({"name": name})))

    async def change_password(self, old_password: str, new_password: str) -> None:
        """Change the password; all logins end. Raises `Forbidden` if the old one is wrong."""
        body = Body({"old_password": old_password, "new_password": new_password})
        await self._transport.send("POST", "/auth/password", body)

    async def sessions(self, *, cursor: str | None = None, limit: int = 50) -> SessionPage:
        """A page of where you are logged in, the newest first."""
        return cast(SessionPage, await self._transport.get("/auth/sessions", {"cursor": cursor, "limit": limit}))

    def iterate_sessions(self) -> AsyncIterator[SessionView]:
        """All of them."""
        return self._transport.pages("/auth/sessions", {})

    async def end_session(self, session: str) -> None:
        """End one of your logins. Raises `NotFound`."""
        await self._transport.send("DELETE", path_of("auth", "sessions", session))

    async def log_out_everywhere(self) -> Ended:
        """End all your logins; API keys stay."""
        return cast(Ended, await self._transport.send("POST", "/auth/logout-everywhere"))
