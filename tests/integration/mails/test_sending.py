"""S9: mail that waits in the database reaches a real mail server once, whoever dies on the way and whatever is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from millrace.app.mails import repository
from millrace.app.mails.content import Content
from millrace.app.mails.repository import KEPT, LEASE, PATIENCE, Mail
from millrace.app.mails.sending import AT_ONCE, Mails, OldMails
from millrace.app.retention.repository import first_id_at
from millrace.core.values import Duration
from millrace.net.addresses import AddressPolicy
from millrace.net.smtp import SmtpMailer
from millrace.ports.mail import Mailbox, MailServer
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.system import SystemClock, Uuid7Ids
from tests.integration.runners.smtp_kit import Mailhouse, mailhouse
from tests.support.server import free_port

IDS = Uuid7Ids()
SENDER = Mailbox.parse("Millrace <robot@example.com>")
CONTENT = Content("a trigger fired", "Größe: <b>\n", "<p>Größe: &lt;b&gt;</p>\n")


@pytest.fixture
async def database(database_url: str | None, tmp_path: Path) -> AsyncIterator[SqliteDatabase | PostgresDatabase]:
    opened: SqliteDatabase | PostgresDatabase
    if database_url is None:
        opened = await SqliteDatabase.open(tmp_path / "millrace.db", clock=SystemClock(), synchronous="off")
    else:
        opened = await PostgresDatabase.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def house() -> Iterator[Mailhouse]:
    with mailhouse() as house:
        yield house


@pytest.fixture
def kit(database: SqliteDatabase | PostgresDatabase, house: Mailhouse) -> "Kit":
    return Kit(database, house)


class Kit:
    def __init__(self, database: SqliteDatabase | PostgresDatabase, house: Mailhouse) -> None:
        self.database = database
        self.house = house

    def sender(self, port: int | None = None, **server: Any) -> Mails:
        """What sends mails in one process."""
        at = MailServer("127.0.0.1", port or self.house.port, tls="none", sender=SENDER, trusted=True)
        return Mails(self.database, SmtpMailer(AddressPolicy()), replace(at, **server))

    async def post(self, key: str, *, recipient: str = "ops@example.com", id_: str | None = None) -> bool:
        mail = Mail(id_ or IDS.new(), key, recipient, CONTENT.stored())
        return await self.database.write(lambda connection: repository.add(connection, mail))

    async def rows(self) -> list[Any]:
        query = "select key, due_at, tries, last_error, sent_at from mails order by key"
        return await self.database.read(lambda connection: list(connection.execute(text(query)).all()))

    async def pass_time(self, duration: Duration) -> None:
        """As far as mails can tell."""
        statement = text("update mails set due_at = due_at - :by, created_at = created_at - :by")
        await self.database.write(lambda connection: connection.execute(statement, {"by": duration}))


async def test_it_comes_as_plain_text_and_as_html(kit: Kit) -> None:
    await kit.post("a")
    assert await kit.sender().run_once() is None
    (letter,) = kit.house.letters
    assert (letter.sender, letter.recipients) == ("robot@example.com", ["ops@example.com"])
    message = letter.message
    assert message.get_content_type() == "multipart/alternative"
    plain, page = message.iter_parts()
    assert isinstance(plain, EmailMessage)
    assert isinstance(page, EmailMessage)
    assert (plain.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert [part.get_content().replace("\r\n", "\n") for part in (plain, page)] == [CONTENT.text, CONTENT.html]
    assert (message["Subject"], message["Auto-Submitted"]) == (CONTENT.subject, "auto-generated")
    ((_, due_at, tries, error, sent_at),) = await kit.rows()
    assert (due_at, tries, error, sent_at is not None) == (None, 1, None, True)


async def test_a_mail_with_a_key_that_is_there_is_not_sent_again(kit: Kit) -> None:
    assert [await kit.post("a"), await kit.post("a")] == [True, False]
    await kit.sender().run_once()
    assert not await kit.post("a")
    await kit.sender().run_once()
    assert len(kit.house.letters) == 1


async def test_several_senders_send_each_mail_once(kit: Kit) -> None:
    for number in range(3 * AT_ONCE):
        await kit.post(f"{number:02}", recipient=f"ops-{number}@example.com")
    await asyncio.gather(*(kit.sender().run_once() for _ in range(3)))
    # Whoever saw that others were at a mail goes away; they may still be at it.
    assert sorted(letter.recipients[0] for letter in kit.house.letters) == sorted(
        f"ops-{number}@example.com" for number in range(3 * AT_ONCE)
    )


async def test_while_the_server_is_away_it_waits_and_is_sent_later(kit: Kit) -> None:
    await kit.post("a")
    pause = await kit.sender(port=free_port()).run_once()
    assert pause is not None
    assert 5 < pause < 11
    ((_, _, tries, error, sent_at),) = await kit.rows()
    assert (tries, sent_at) == (1, None)
    assert "127.0.0.1" in error
    assert await kit.sender().run_once() is not None, "it is not due yet"
    assert kit.house.letters == []
    await kit.pass_time(12_000_000)
    await kit.sender().run_once()
    assert len(kit.house.letters) == 1
    ((_, due_at, tries, error, _),) = await kit.rows()
    assert (due_at, tries, error) == (None, 2, None)


async def test_what_a_dead_process_took_is_sent_after_its_lease_as_the_same_message(kit: Kit) -> None:
    await kit.post("a")
    (taken,) = await kit.database.write(lambda connection: repository.take(connection, 5))
    await kit.sender().run_once()
    assert kit.house.letters == []
    await kit.pass_time(LEASE)
    await kit.sender().run_once()
    (letter,) = kit.house.letters
    assert letter.message["Message-ID"] == f"<{taken.id}@example.com>"
    # The dead one was only slow: what it has to say is not heard any more.
    await kit.database.write(lambda connection: repository.failed(connection, taken, "too late"))
    ((_, due_at, _, error, sent_at),) = await kit.rows()
    assert (due_at, error, sent_at is not None) == (None, None, True)


async def test_each_try_is_later_and_after_a_day_it_is_given_up(kit: Kit) -> None:
    kit.house.message_reply = "554 not here"
    await kit.post("a")
    pauses = []
    for _ in range(4):
        pauses.append(await kit.sender().run_once() or 0.0)
        await kit.pass_time(int(pauses[-1] * 1_000_000) + 1_000_000)
    assert [round(pause / 10) for pause in pauses] == [1, 2, 4, 8]
    await kit.pass_time(PATIENCE)
    assert await kit.sender().run_once() is None
    ((_, due_at, tries, error, sent_at),) = await kit.rows()
    assert (due_at, tries, sent_at) == (None, 5, None)
    assert "554 not here" in error


async def test_one_that_cannot_be_sent_does_not_stand_in_the_way_of_others(kit: Kit) -> None:
    kit.house.replies["gone@example.com"] = "550 nobody of that name"
    await kit.post("a", recipient="gone@example.com")
    await kit.post("b", recipient="not an address")
    await kit.post("c")
    await kit.sender().run_once()
    assert [letter.recipients for letter in kit.house.letters] == [["ops@example.com"]]
    assert ["550" in (row.last_error or "") for row in await kit.rows()] == [True, False, False]


@pytest.mark.parametrize("without", ["MILLRACE_SMTP_HOST", "MILLRACE_SMTP_FROM"])
async def test_without_a_server_or_a_sender_the_error_says_what_to_set(kit: Kit, without: str) -> None:
    await kit.post("a")
    nobody = Mails(kit.database, SmtpMailer(AddressPolicy()), None)
    await (nobody if without == "MILLRACE_SMTP_HOST" else kit.sender(sender=None)).run_once()
    ((_, due_at, _, error, _),) = await kit.rows()
    assert without in error
    assert due_at is not None


async def test_old_mails_are_deleted_when_they_were_sent_or_given_up(kit: Kit) -> None:
    long_ago = SystemClock().now() - KEPT - 60_000_000
    old = [f"{first_id_at(long_ago)}-7000-8000-00000000000{number}" for number in range(2)]
    await kit.post("old and sent", id_=old[0])
    await kit.post("new and sent")
    await kit.sender().run_once()
    await kit.post("old and waiting", id_=old[1])
    await OldMails(kit.database).run_once()
    assert [row.key for row in await kit.rows()] == ["new and sent", "old and waiting"]
