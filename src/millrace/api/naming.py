"""Users in answers: `{"id", "name"}` wherever a document says by whom something was done.

The use cases tell ids, which is what is stored; here each becomes a user, with one query for a page at most.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.app.containers.container import Container
from millrace.app.cursors import Page

USERS = frozenset(
    {"author", "created_by", "updated_by", "deployed_by", "triggered_by", "cancelled_by", "started_by", "ended_by"}
)
"""Fields that hold a user. Looked for where a document is ours: never inside definitions, inputs and other values."""


async def named(container: Container, view: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """The document with its users named; those in its `parts`, which are documents themselves, too."""
    inner = {part: view[part] for part in parts if view[part] is not None}
    names = await container.user_names.of(_users_in(view, *inner.values()))
    return {**_with(names, view), **{part: _with(names, document) for part, document in inner.items()}}


async def named_page(container: Container, page: Page[Any]) -> Page[dict[str, Any]]:
    """The page with the users of its documents named."""
    names = await container.user_names.of(_users_in(*page.items))
    return Page([_with(names, view) for view in page.items], page.next_cursor)


def _users_in(*views: Mapping[str, Any]) -> Iterator[str]:
    return (view[field] for view in views for field in USERS & view.keys() if view[field])


def _with(names: Mapping[str, str], view: Mapping[str, Any]) -> dict[str, Any]:
    users = {field: {"id": view[field], "name": names[view[field]]} for field in USERS & view.keys() if view[field]}
    return {**view, **users}
