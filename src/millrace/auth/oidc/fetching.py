"""Requests to the provider. Whatever goes wrong is one error for people, and a line in the log that says what it was.

They go through the guarded client: a document of the provider may name any address, and none of them leads into a
private network but to the host of the issuer itself, which the operator has named.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

import orjson

from millrace.core.errors import Unavailable
from millrace.core.values import JsonObject
from millrace.ports.http import HttpClient, HttpFailed, HttpRequest
from millrace.ports.network import AddressRefused

logger = logging.getLogger(__name__)

WITHIN: Final = 10.0
"""Seconds for the whole of a request."""
LARGEST: Final = 262_144
"""Bytes of an answer."""
FORM: Final = "application/x-www-form-urlencoded"


async def fetched(
    http: HttpClient, url: str, *, headers: Mapping[str, str] | None = None, form: str | None = None
) -> tuple[int, JsonObject]:
    """Status and JSON object; `form`: to be posted. Raises `Unavailable` for anything that is none."""
    request = HttpRequest(
        method="GET" if form is None else "POST",
        url=url,
        headers={"Accept": "application/json", **({} if form is None else {"Content-Type": FORM}), **(headers or {})},
        content=None if form is None else form.encode(),
        timeout=WITHIN,
    )
    try:
        async with asyncio.timeout(WITHIN), http.send(request) as answer:
            content = b"".join([part async for part in answer.body(LARGEST)])
    except (HttpFailed, AddressRefused) as error:
        raise unavailable(str(error)) from None
    except TimeoutError:
        raise unavailable(f"{shown(url)} did not answer within {WITHIN:g} s") from None
    try:
        document = orjson.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise unavailable(f"{shown(url)} answered {answer.status} and no JSON object")
    return answer.status, document


def unavailable(why: str) -> Unavailable:
    """`why` is for the log alone: it may repeat what the provider has said."""
    logger.warning("logins by the OpenID Connect provider fail: %s", why[:500])
    return Unavailable("oidc_unavailable", "the login provider does not answer as it should; try again in a moment")


def shown(url: str) -> str:
    return url.partition("?")[0][:200]
