"""People who log in, for tests."""

from typing import Any

import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from millrace.auth import repository
from millrace.auth.keys import new_key as made_key
from millrace.auth.permissions import Role
from millrace.system import SystemClock, Uuid7Ids
from tests.support.installation import Installation

PASSWORD = "quiet-harbour-lamp-42"
OTHER = "stone-violet-river-77"
ADA = "ada@example.com"


def make_hashes_cheap(patch: pytest.MonkeyPatch) -> None:
    """Of passwords, in this process: what a hash must cost is tested by itself, with the one that is really used."""
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=32, parallelism=1),))
    patch.setattr(PasswordHash, "recommended", lambda: cheap)


async def set_up(millrace: Installation, email: str = ADA, password: str = PASSWORD) -> None:
    """The first administrator has an address and a password from here on."""
    body = {"setup_key": millrace.key, "email": email, "name": "Ada", "password": password}
    async with millrace.client("") as client:
        response = await client.post("/api/v1/auth/setup", json=body)
        assert response.status_code == 200, response.text


async def tokens(client: httpx2.AsyncClient, email: str = ADA, password: str = PASSWORD, **more: str) -> Any:
    form = {"grant_type": "password", "username": email, "password": password, **more}
    response = await client.post("/api/v1/auth/token", data=form)
    assert response.status_code == 200, response.text
    return response.json()


async def log_in(client: httpx2.AsyncClient, email: str = ADA, password: str = PASSWORD) -> httpx2.Response:
    """As a browser does; the client keeps the cookie if the login works."""
    return await client.post("/api/v1/auth/login", json={"email": email, "password": password})


async def new_key(millrace: Installation, user_id: str) -> tuple[str, str]:
    """An API key of any user: its id and its text."""
    key, key_id = made_key(), Uuid7Ids().new()
    await millrace.database.write(
        lambda connection: repository.add_key(
            connection, key_id=key_id, user_id=user_id, name="test", key=key, now=SystemClock().now()
        )
    )
    return key_id, key.text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def key_of(millrace: Installation, role: Role) -> str:
    """The API key of a new user with this role."""
    user = f"user-{role.value}"
    await millrace.database.write(
        lambda connection: repository.add_user(
            connection, user_id=user, email=f"{role.value}@example.org", name=role.value, role=role, now=1
        )
    )
    return (await new_key(millrace, user))[1]
