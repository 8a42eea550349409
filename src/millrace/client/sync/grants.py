# Printed by scripts/print-client from aio/grants.py; changes belong there.
"""Grants: what a user may do with a single workflow."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, cast

from millrace.client.requests import json_body, path_of
from millrace.client.sync.resource import Resource
from millrace.client.types import GrantsOfUser, GrantsOfUserPage, GrantsOnWorkflow, GrantsOnWorkflowPage

GrantName: TypeAlias = Literal["view", "run", "edit", "approve"]


class Grants(Resource):
    """`client.grants`."""

    def list(self, workflow: str, *, cursor: str | None = None, limit: int = 50) -> GrantsOfUserPage:
        """A page of who was given what for a workflow."""
        query = {"cursor": cursor, "limit": limit}
        return cast(GrantsOfUserPage, self._transport.get(path_of("workflows", workflow, "grants"), query))

    def iterate(self, workflow: str) -> Iterator[GrantsOfUser]:
        """All of them."""
        return self._transport.pages(path_of("workflows", workflow, "grants"), {})

    def of_user(self, user: str, *, cursor: str | None = None, limit: int = 50) -> GrantsOnWorkflowPage:
        """A page of what a user was given for which workflow."""
        query = {"cursor": cursor, "limit": limit}
        return cast(GrantsOnWorkflowPage, self._transport.get(path_of("users", user, "grants"), query))

    def iterate_of_user(self, user: str) -> Iterator[GrantsOnWorkflow]:
        """All of them."""
        return self._transport.pages(path_of("users", user, "grants"), {})

    def own(self, *, cursor: str | None = None, limit: int = 50) -> GrantsOnWorkflowPage:
        """A page of what you were given yourself for which workflow."""
        query = {"cursor": cursor, "limit": limit}
        return cast(GrantsOnWorkflowPage, self._transport.get("/auth/me/grants", query))

    def iterate_own(self) -> Iterator[GrantsOnWorkflow]:
        """All of them."""
        return self._transport.pages("/auth/me/grants", {})

    def set(self, workflow: str, user: str, grants: Sequence[GrantName]) -> GrantsOfUser:
        """Let a user have exactly these. Raises `Forbidden` for what you have not yourself."""
        body = json_body(grants=[*grants])
        path = path_of("workflows", workflow, "grants", user)
        return cast(GrantsOfUser, self._transport.send("PUT", path, body))

    def remove(self, workflow: str, user: str) -> None:
        """Take all from a user that he was given for a workflow. Raises `NotFound` if there is nothing."""
        self._transport.send("DELETE", path_of("workflows", workflow, "grants", user))
