"""What schedulers and receivers ask before a trigger starts a run: whether somebody is to be told of it instead.

Nothing is remembered here. What was said about a workflow is read together with the row of the trigger, and each change
of it makes the revisions of the workflow's triggers grow: a start, or a decision against one, that was made on what
held before is refused when it is to be written, and is made anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from sqlalchemy import Connection

from millrace.app.mails import repository as mails
from millrace.app.mails.repository import Mail
from millrace.app.runs.starting import Fired as Refused
from millrace.app.runs.starting import FiringOutcome, TriggeredStart
from millrace.app.test_mode import repository
from millrace.app.test_mode.instructions import Instance, Instructions, OwnMode
from millrace.app.test_mode.letters import Fired, letter
from millrace.app.triggers.repository import TriggerRow
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.secrets import Masker

NOBODY = (
    "test mode: there is nobody to be told; give the workflow's test mode a recipient, "
    "or set MILLRACE_TEST_MODE_RECIPIENT"
)


@dataclass(frozen=True, slots=True)
class Instead:
    """No run is to be started. The mail is written with the decision that says so, or neither is."""

    outcome: FiringOutcome
    reason: str
    mail: Mail | None = None


class TestMode:
    def __init__(
        self,
        database: Database,
        instance: Instance,
        masker: Masker,
        ids: Ids,
        refusal: Callable[[TriggeredStart], Awaitable[Refused | None]],
    ) -> None:
        """`refusal`: why the run of a trigger would not be started, if it would not."""
        self._database = database
        self._instance = instance
        self._masker = masker
        self._ids = ids
        self._refusal = refusal
        self.after_mail: Callable[[], None] = _nobody
        """Told when a mail is about to wait; the composition root lets it wake whoever sends mails."""

    def of(self, row: TriggerRow) -> Instructions | None:
        """What test mode says about a trigger; `None` while it is off."""
        return self._instance.instructions(None if row.test_mode is None else OwnMode.read(row.test_mode))

    async def instead(self, row: TriggerRow, start: TriggeredStart, start_key: str) -> Instead | None:
        """What to do instead of starting the run; `None` to start it. The mail that goes with a start is written then.

        A start that would be refused is refused here, too: whoever tries a trigger is to find that out. What has the
        `start_key` of an earlier firing of the trigger is not told again. Raises `StoreUnavailable`.
        """
        instructions = self.of(row)
        if instructions is None:
            return None
        if instructions.recipient is None:
            return Instead(FiringOutcome.FAILED, NOBODY)
        if (refused := await self._refusal(start)) is not None:
            return Instead(refused.outcome, refused.reason or "")
        mail = await self._mail(row, start, start_key, instructions, instructions.recipient)
        if instructions.skip_execution:
            return Instead(FiringOutcome.SKIPPED, f"test mode: {instructions.recipient} is told instead", mail)
        await self._database.write(partial(_add_if_it_holds, row=row, mail=mail))
        self.after_mail()
        return None

    async def _mail(
        self,
        row: TriggerRow,
        start: TriggeredStart,
        start_key: str,
        instructions: Instructions,
        recipient: str,
    ) -> Mail:
        workflow = await self._database.read_for_engine(partial(repository.name_of, workflow_id=row.workflow_id))
        content = letter(
            Fired(
                trigger=self._masker.text(row.name),
                type=row.type,
                workflow=self._masker.text(workflow or row.workflow_id),
                workflow_id=row.workflow_id,
                time=str(start.trigger.get("time")),
                data=self._masker.shown(start.trigger),
                config=self._masker.shown(orjson.loads(row.config)),
                input=self._masker.shown(start.input),
                starts=not instructions.skip_execution,
            )
        )
        return Mail(self._ids.new(), f"test:{row.id}:{start_key}", recipient, content.stored())


def _add_if_it_holds(connection: Connection, row: TriggerRow, mail: Mail) -> None:
    """Nobody is told of a start that will be refused."""
    if repository.holds(connection, row.id, row.revision):
        mails.add(connection, mail)


def _nobody() -> None:
    return None
