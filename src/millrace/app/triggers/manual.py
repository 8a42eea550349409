"""What a manual trigger has to say about an explicit start: whether it is taken, and what input it begins with.

A workflow without one takes every explicit start. Of several, the first counts that is enabled and whose `if` holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from millrace.app.firing import names
from millrace.app.plans import CompiledVersion
from millrace.app.triggers import repository
from millrace.app.triggers.registrar import Declared, declared_in
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.ports.database import Database
from millrace.ports.evaluator import Evaluator, ExpressionError

TYPE = "manual"


@dataclass(frozen=True, slots=True)
class Manual:
    """The trigger of an explicit start."""

    trigger_id: str | None
    """Of its row; `None` without a trigger, and for one that only a version has that is not deployed."""
    trigger: JsonObject
    input: JsonObject = field(default_factory=dict)
    """What the run's input is where the request gives no other."""


class ManualTriggers:
    def __init__(self, database: Database, evaluator: Evaluator) -> None:
        self._database = database
        self._evaluator = evaluator

    async def of_start(
        self, workflow_id: str, version: CompiledVersion, variables: JsonObject, trigger: JsonObject
    ) -> Manual:
        """`trigger`: what is known of the start besides.

        Raises `Conflict` when every manual trigger is disabled (`trigger_disabled`) or none that is not has an `if`
        that holds (`condition_not_met`), and `InvalidRequest` for expressions without a value.
        """
        wanted = [one for one in declared_in(version.definition.canonical) if one.type == TYPE]
        if not wanted:
            return Manual(None, trigger)
        rows = await self._database.read(lambda connection: _rows(connection, workflow_id))
        enabled = [one for one in (_as_set(one, rows) for one in wanted) if one.enabled]
        names_told = ", ".join(f"`{one.name}`" for one in enabled or wanted)
        if not enabled:
            remedy = "enable it (`millrace triggers enable`), or in the definition"
            raise Conflict("trigger_disabled", f"the manual trigger {names_told} is disabled; {remedy}")
        for one in enabled:
            known: JsonObject = {**trigger, "id": one.name}
            filled = await self._filled(one, known, {**version.definition.variables, **variables})
            if filled.wanted:
                row = rows.get(one.name)
                return Manual(None if row is None else row.id, known, filled.input)
        raise Conflict(
            "condition_not_met", f"the `if` of the manual trigger {names_told} is false, so nothing is started"
        )

    async def _filled(self, one: Declared, trigger: JsonObject, variables: JsonObject) -> names.Filled:
        try:
            return await names.fill(one, trigger, variables, self._evaluator)
        except ExpressionError as error:
            fault = Fault(f"triggers.{one.name}", "expression", str(error), "mend the trigger in the definition")
            raise InvalidRequest("invalid_trigger", "the manual trigger has no value", faults=[fault]) from None


def _rows(connection: Connection, workflow_id: str) -> Mapping[str, repository.TriggerRow]:
    return {row.name: row for row in repository.of_type(connection, workflow_id, TYPE)}


def _as_set(one: Declared, rows: Mapping[str, repository.TriggerRow]) -> Declared:
    """As the definition has it, and somebody has switched it since that was deployed."""
    row = rows.get(one.name)
    return one if row is None or row.declared != one.enabled else replace(one, enabled=row.enabled)
