"""The names in a query: a route takes those that it declares and refuses all others, since a filter that is misspelt
and passed over shows too much, or deletes it.

What each route declares is collected once, when the application is made; a request without a query costs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeAlias

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from millrace.core.errors import Fault, InvalidRequest
from millrace.definition.faults import MOST_FAULTS
from millrace.definition.words import hint

Declared: TypeAlias = Mapping[Callable[..., Any], frozenset[str]]
"""The names that each endpoint takes."""


def declared(routes: Iterable[BaseRoute]) -> Declared:
    return {route.endpoint: frozenset(_names(route.dependant)) for route in routes if isinstance(route, APIRoute)}


async def known_query(request: Request) -> None:
    """A dependency. Raises `InvalidRequest` for names in the query that the route does not declare."""
    if not request.scope["query_string"]:
        return
    known: frozenset[str] = request.app.state.query_names[request.scope["endpoint"]]
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        faults = [_fault(name, known) for name in islice(unknown, MOST_FAULTS)]
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)


def _names(dependant: Dependant) -> Iterable[str]:
    for field in dependant.query_params:
        yield field.alias
    for below in dependant.dependencies:
        yield from _names(below)


def _fault(name: str, known: frozenset[str]) -> Fault:
    message = f"there is no query parameter {name[:100]!r} here{hint(name, known)}"
    remedy = (
        f"leave it out, or write one of {', '.join(sorted(known))}" if known else "leave it out: none is taken here"
    )
    return Fault(f"query.{name[:100]}", "unknown_parameter", message, remedy)
