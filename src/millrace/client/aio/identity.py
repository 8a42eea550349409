"""Users, service accounts and API keys."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, TypeAlias, cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import Moment, json_body, path_of
from millrace.client.types import Ended, KeyPage, KeyView, MadeKey, MadeUser, PersonalData, UserPage, UserView

RoleName: TypeAlias = Literal["admin", "developer", "operator", "viewer"]
Kind: TypeAlias = Literal["person", "service"]
Access: TypeAlias = Literal["all", "granted"]
Status: TypeAlias = Literal["active", "disabled", "deleted"]


class AsyncUsers(AsyncResource):
    """`client.users`."""

    async def list(
        self,
        *,
        role: RoleName | None = None,
        kind: Kind | None = None,
        status: Status | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> UserPage:
        """A page of the users, the oldest first; those that are deleted only with `status="deleted"`."""
        query = {"role": role, "kind": kind, "status": status, "cursor": cursor, "limit": limit}
        return cast(UserPage, await self._transport.get("/users", query))

    def iterate(
        self, *, role: RoleName | None = None, kind: Kind | None = None, status: Status | None = None
    ) -> AsyncIterator[UserView]:
        """All users."""
        return self._transport.pages("/users", {"role": role, "kind": kind, "status": status})

    async def get(self, user: str) -> UserView:
        """One user by id or e-mail address, a service account by id or name."""
        return cast(UserView, await self._transport.get(path_of("users", user)))

    async def create(
        self,
        name: str,
        *,
        email: str | None = None,
        role: RoleName | None = None,
        kind: Kind | None = None,
        password: str | None = None,
        access: Access | None = None,
    ) -> MadeUser:
        """Make a user, or with `kind="service"` an account of a program.

        A person without a password gets one by the `reset_token` of the answer. Raises `Conflict` for an address or a
        name that is taken. With `access="granted"` the user sees and does of workflows only what grants on single ones
        give.
        """
        body = json_body(name=name, email=email, role=role, kind=kind, password=password, access=access)
        return cast(MadeUser, await self._transport.send("POST", "/users", body))

    async def change(
        self,
        user: str,
        *,
        name: str | None = None,
        email: str | None = None,
        role: RoleName | None = None,
        access: Access | None = None,
    ) -> UserView:
        """Change what is given. Raises `Conflict` for the last administrator."""
        body = json_body(name=name, email=email, role=role, access=access)
        return cast(UserView, await self._transport.send("PATCH", path_of("users", user), body))

    async def delete(self, user: str) -> UserView:
        """Delete a user for ever; logins and keys end."""
        return cast(UserView, await self._transport.send("DELETE", path_of("users", user)))

    async def personal_data(self, user: str) -> PersonalData:
        """All that is kept of a user."""
        return cast(PersonalData, await self._transport.get(path_of("users", user, "personal-data")))

    async def erase(self, user: str, *, confirm: str) -> UserView:
        """Delete a user for ever, with what says who it was. `confirm` is the e-mail address or the name."""
        body = json_body(confirm=confirm)
        return cast(UserView, await self._transport.send("POST", path_of("users", user, "erase"), body))

    async def disable(self, user: str) -> UserView:
        """Refuse whatever the user has, at once."""
        return cast(UserView, await self._transport.send("POST", path_of("users", user, "disable")))

    async def enable(self, user: str) -> UserView:
        """Let a disabled user in again."""
        return cast(UserView, await self._transport.send("POST", path_of("users", user, "enable")))

    async def reset(self, user: str) -> MadeUser:
        """A `reset_token` to pass on, by which the user sets a new password."""
        return cast(MadeUser, await self._transport.send("POST", path_of("users", user, "reset")))

    async def log_out(self, user: str) -> Ended:
        """End all logins of a user."""
        return cast(Ended, await self._transport.send("POST", path_of("users", user, "logout")))


class AsyncApiKeys(AsyncResource):
    """`client.api_keys`."""

    async def list(
        self, *, user: str | None = None, all: bool | None = None, cursor: str | None = None, limit: int = 50
    ) -> KeyPage:
        """A page of your keys, or those of another user, or with `all` of everybody, the newest first."""
        query = {"user": user, "all": all, "cursor": cursor, "limit": limit}
        return cast(KeyPage, await self._transport.get("/api-keys", query))

    def iterate(self, *, user: str | None = None, all: bool | None = None) -> AsyncIterator[KeyView]:
        """All of them."""
        return self._transport.pages("/api-keys", {"user": user, "all": all})

    async def get(self, key: str) -> KeyView:
        """What is known of a key, by its id."""
        return cast(KeyView, await self._transport.get(path_of("api-keys", key)))

    async def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_in: str | None = None,
        expires_at: Moment | None = None,
        user: str | None = None,
    ) -> MadeKey:
        """Make a key, which is in the answer as `key`, this once. `scopes` are permissions such as `run:read`."""
        limited = None if scopes is None else [*scopes]
        body = json_body(name=name, scopes=limited, expires_in=expires_in, expires_at=expires_at, user=user)
        return cast(MadeKey, await self._transport.send("POST", "/api-keys", body))

    async def rotate(self, key: str, *, overlap: str | None = None) -> MadeKey:
        """A new key in place of one, which ends now, or after `overlap`."""
        body = json_body(overlap=overlap)
        return cast(MadeKey, await self._transport.send("POST", path_of("api-keys", key, "rotate"), body))

    async def revoke(self, key: str) -> KeyView:
        """End a key at once."""
        return cast(KeyView, await self._transport.send("DELETE", path_of("api-keys", key)))
