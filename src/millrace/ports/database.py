"""The port for plain CRUD: users, keys, workflows. Repositories write ordinary SQLAlchemy Core against a connection.

The engine's rows are written through `ports.store` only. A unit of work is one function call: it gets a connection
with an open transaction, which is committed when the function returns and rolled back when it raises.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Database(Protocol):
    async def read(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` on a read-only connection, off the event loop, in one snapshot.

        It sees everything committed before the call.
        """
        ...

    async def write(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in one write transaction, off the event loop. Durable when it returns."""
        ...
