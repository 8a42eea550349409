"""Who acts now, and from where: known from the beginning of a request to the transactions that it leads to.

It is a variable of the context, which both databases carry into the threads and greenlets that they write in. So no use
case passes it on, and none can forget to. Outside a request it is Millrace itself that acts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

from millrace.auth.principal import Principal
from millrace.core.values import JsonValue


def _as_it_is(value: JsonValue) -> JsonValue:
    return value


@dataclass(frozen=True, slots=True)
class Acting:
    name: str
    """What who acts is called at this time."""
    user_id: str | None = None
    credential_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    caller: Principal | None = None
    """As whom he has proven himself."""
    mask: Callable[[JsonValue], JsonValue] = _as_it_is
    """Takes known secrets out of what is written down."""


NOBODY: Final = "anonymous"
"""The name of who has not said, or not proven, who he is."""
MILLRACE: Final = Acting("system")

_acting: ContextVar[Acting] = ContextVar("acting", default=MILLRACE)


def acting() -> Acting:
    return _acting.get()


@contextmanager
def acting_as(who: Acting) -> Iterator[None]:
    """Whatever is changed within it, `who` changes."""
    before = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(before)


def proven(caller: Principal) -> None:
    """The request that is being answered is this caller's."""
    who = replace(
        _acting.get(), name=caller.name, user_id=caller.user_id, credential_id=caller.credential_id, caller=caller
    )
    _acting.set(who)
