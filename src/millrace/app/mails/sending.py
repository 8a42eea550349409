"""Sends the mails that wait in the database, in any number of processes; none is sent by two of them at once.

    take some that are due, in one transaction, each for the time of a lease
      → send them, a few at a time
      → note of each that it was sent, or when it is to be tried again

A process that dies in between leaves its mails to whoever looks when their leases have ended. One that died after the
server had taken a mail, and before it could note that, is why a mail may come twice: it is the same message then.
"""

import asyncio
import logging
from functools import partial

from millrace.app.mails import repository
from millrace.app.mails.content import message_of
from millrace.app.mails.repository import TakenMail
from millrace.core.values import SECOND
from millrace.engine.service import Service
from millrace.ports.database import Database
from millrace.ports.mail import Mailer, MailFailed, MailServer
from millrace.ports.network import AddressRefused

logger = logging.getLogger(__name__)

AT_ONCE = 8
"""Mails that are sent at the same time, each on a connection of its own."""

SEND_SECONDS = 120.0
"""Less than the lease, so that nobody else begins to send a mail that is still being sent."""


class Mails(Service):
    """One round sends every mail that is due."""

    interval = 5.0

    def __init__(self, database: Database, mailer: Mailer | None, server: MailServer | None) -> None:
        super().__init__()
        self._database = database
        self._mailer = mailer
        self._server = server

    async def run_once(self) -> float | None:
        while True:
            wait = await self._database.read_for_engine(repository.wait)
            if wait is None or wait > 0:
                return None if wait is None else wait / SECOND
            taken = await self._database.write(partial(repository.take, limit=AT_ONCE))
            # All of them come to their end, also where one could not be noted.
            ends = await asyncio.gather(*map(self._deal_with, taken), return_exceptions=True)
            for error in filter(None, ends):
                raise error

    async def _deal_with(self, mail: TakenMail) -> None:
        """Send it, and write what came of that. One that cannot be sent does not stand in the way of others."""
        reason = await self._sent(mail)
        if reason is None:
            await self._database.write(partial(repository.sent, mail=mail))
            return
        given_up = await self._database.write(partial(repository.failed, mail=mail, reason=reason))
        what = "is given up" if given_up else "will be tried again"
        logger.warning("mail %s to %s could not be sent and %s: %s", mail.id, mail.recipient, what, reason)

    async def _sent(self, mail: TakenMail) -> str | None:
        """Why the mail was not sent; `None` if it was."""
        if self._mailer is None or self._server is None:
            return "there is no mail server; set MILLRACE_SMTP_HOST"
        if self._server.sender is None:
            return "there is no sender; set MILLRACE_SMTP_FROM"
        try:
            message = message_of(mail.id, mail.recipient, mail.content, self._server.sender)
            async with asyncio.timeout(SEND_SECONDS):
                await self._mailer.send(self._server, message)
        except TimeoutError:
            return f"the mail server did not take it within {SEND_SECONDS:g} seconds"
        except (MailFailed, AddressRefused) as error:
            return str(error)
        except Exception as error:  # whatever is wrong with this mail, the others are sent
            logger.exception("mail %s could not be sent", mail.id)
            return f"an error within Millrace: {error!r}"
        return None


class OldMails(Service):
    """Deletes mails that were sent, or given up, a week ago."""

    interval = 3_600.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def run_once(self) -> float | None:
        deleted = await self._database.write(repository.delete_old)
        return 0.1 if deleted == repository.DELETED_AT_ONCE else None
