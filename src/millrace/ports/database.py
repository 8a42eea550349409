"""The port for plain CRUD: users, keys, workflows. Repositories write ordinary SQLAlchemy Core against a connection.

The engine's rows are written through `ports.store` only. A unit of work is one function call: it gets a connection
with an open transaction, which is committed when the function returns and rolled back when it raises.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

T = TypeVar("T")


class Columns(Protocol):
    """A row as a driver gives it, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...


class Database(Protocol):
    @property
    def is_shared(self) -> bool:
        """Whether other processes may write, too: what is remembered of it here may be out of date."""
        ...

    @property
    def written(self) -> int | None:
        """Grows with whatever is written: as long as it stays, what was read holds. `None` where others may write."""
        ...

    async def read(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` on a read-only connection, off the event loop, in one snapshot.

        It sees everything committed before the call. Cancelling the call ends what the database is at, a moment later.
        """
        ...

    async def read_for_engine(self, work: "Callable[[Connection], T]") -> T:
        """As `read`, for what must not stand behind the long lists that people ask for."""
        ...

    async def ask(self, question: "Select[Any]", values: Mapping[str, object]) -> "Sequence[Columns]":
        """The rows that one question finds, for the engine, by the shortest way there is.

        `question` is made once and kept, for it is put into words but once; `values` are those of its parameters, none
        of them a list.
        """
        ...

    async def look_up(self, question: "Select[Any]", values: Mapping[str, object]) -> "Sequence[Columns]":
        """As `ask`, for what an index answers with a row or two: the event loop may stand still meanwhile."""
        ...

    async def write(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in one write transaction, off the event loop. Durable when it returns.

        It is as if nobody else wrote meanwhile. Where several processes write, `work` may be run again for that, so it
        must do nothing but read and write here. It sees the context variables of the caller.
        """
        ...

    @property
    def trouble(self) -> "Trouble | None":
        """Why the last write failed, when it was not the fault of what was written; `None` once one can succeed."""
        ...


class CopyFailed(Exception):
    """There is no copy; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can be written now. `code` is `disk_full`, `database_read_only` or `database_unusable`."""

    code: str
    message: str


class DatabaseCopies(Protocol):
    """Copies of the whole database, each of them one file."""

    @property
    def suffix(self) -> str:
        """What the names of such files end with: `db` or `dump`."""
        ...

    @property
    def place(self) -> Path:
        """Where a copy is made for somebody who takes it elsewhere."""
        ...

    async def size(self) -> int:
        """Bytes that a copy may take."""
        ...

    async def copy_to(self, place: Path) -> None:
        """Copy the database as it is now, without hindering anyone, and check the copy. Raises `CopyFailed`."""
        ...


class DatabaseFile(Protocol):
    """The file that a database is: the space it takes on the disk, and copies of it."""

    @property
    def path(self) -> Path: ...

    async def free_pages(self) -> int:
        """How many pages hold nothing now."""
        ...

    async def give_back(self, pages: int) -> float:
        """Give about so many free pages back to the disk; answers the seconds that others had to wait for it."""
        ...

    async def copy_to(self, place: Path) -> None:
        """Copy the database as it is now, without hindering anyone, and check the copy. Raises `CopyFailed`."""
        ...
