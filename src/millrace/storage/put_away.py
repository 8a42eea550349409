"""Payloads that are not in their rows, on their way back to whoever asked the store for them."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from millrace.core.values import JsonValue
from millrace.ports.objects import ObjectStoreUnavailable
from millrace.ports.payloads import LostPayload, PayloadLost, Payloads, PutAway
from millrace.ports.store import NewRun, StoreUnavailable

logger = logging.getLogger(__name__)


class PayloadReader:
    def __init__(self, payloads: Payloads | None) -> None:
        self._payloads = payloads

    async def run(self, new: NewRun) -> NewRun:
        """The run with all of its payloads."""
        given = {"trigger": new.trigger, "input": new.input, "variables": new.variables}
        if not any(isinstance(value, PutAway) for value in given.values()):
            return new
        return replace(new, **await self.values(given))

    async def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values with those that were put away read back; one that cannot be is a `LostPayload`."""
        return {
            name: await self._value(value) if isinstance(value, PutAway) else value for name, value in given.items()
        }

    async def _value(self, value: PutAway) -> "JsonValue | LostPayload":
        if self._payloads is None:
            return LostPayload("a stored value lies in an object store, and there is none here")
        try:
            found: JsonValue = orjson.loads(await self._payloads.read(value.text))
        except PayloadLost as lost:
            logger.error("%s", lost)
            return LostPayload(str(lost))
        except ObjectStoreUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        return found
