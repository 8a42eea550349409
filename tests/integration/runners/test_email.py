"""The task type `email` against a real SMTP server: what arrives, who refuses, and what a failure says."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.core.failures import Failure, FailureKind
from millrace.core.values import check_value
from millrace.net import smtp
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.net.smtp import SmtpMailer
from millrace.ports.artifacts import ArtifactFault, OpenArtifact
from millrace.ports.connections import Connection, ConnectionUnavailable
from millrace.ports.mail import Mailbox, MailServer
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.ports.secrets import OF_NOBODY, SecretUse
from millrace.runners.email import EmailRunner
from millrace.runners.email_config import EmailConfig
from tests.integration.runners.smtp_kit import PASSWORD, USER, Mailhouse, mailhouse
from tests.unit.net.raw_server import self_signed

RUN = "0199d6a0-0000-7000-8000-000000000001"
MAIL: dict[str, Any] = {"to": "bob@example.org", "from": "ada@example.com", "subject": "Hello", "text": "Hi"}


class KnownConnections:
    """Meets `ports.connections.Connections`."""

    def __init__(self, **configs: Any) -> None:
        self._configs = configs

    async def resolve(self, name: str, *, types: frozenset[str], use: SecretUse = OF_NOBODY) -> Connection:
        if name not in self._configs or "smtp" not in types:
            raise ConnectionUnavailable(f"there is no connection {name!r}")
        return Connection(name, "smtp", self._configs[name])


class Files:
    """Meets the reading half of `ports.artifacts.Artifacts`."""

    @asynccontextmanager
    async def open(self, reference: Any) -> Any:
        if reference != "known":
            raise ArtifactFault(f"there is no file {reference}", FailureKind.INVALID_INPUT)

        async def parts() -> Any:
            yield b"a;b\n"
            yield "ü;1\n".encode()

        yield OpenArtifact("report.csv", "text/csv", 9, parts())


@dataclass
class Post:
    """Sends mail with one runner."""

    server: MailServer | None
    connections: KnownConnections | None = None
    allowed: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)

    async def outcome(
        self, *, run: str = RUN, task: str = "tell", attempt: int = 1, **config: Any
    ) -> Completed | Failed:
        addresses = AddressPolicy(self.allowed)
        runner = EmailRunner(
            RunnerServices(
                GuardedHttpClient(addresses),
                addresses,
                (),
                None,
                connections=self.connections,
                mailer=SmtpMailer(addresses),
                mail_server=self.server,
            )
        )
        context = RunnerContext(run, task, attempt, lambda text, **_: self.lines.append(text), artifacts=Files())  # type: ignore[arg-type]
        return await runner.run(EmailConfig(**{**MAIL, **config}), context)

    async def output(self, **config: Any) -> dict[str, Any]:
        outcome = await self.outcome(**config)
        assert isinstance(outcome, Completed), outcome
        check_value(outcome.output)
        assert isinstance(outcome.output, dict)
        return outcome.output

    async def failure(self, **config: Any) -> Failure:
        outcome = await self.outcome(**config)
        assert isinstance(outcome, Failed), outcome
        check_value(outcome.failure.to_json())
        return outcome.failure


def server_at(port: int, **fields: Any) -> MailServer:
    return MailServer("127.0.0.1", port, **{"tls": "none", "trusted": True, **fields})


@pytest.fixture
def house() -> Iterator[Mailhouse]:
    with mailhouse() as running:
        yield running


@pytest.fixture
def post(house: Mailhouse) -> Post:
    return Post(server_at(house.port))


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a host that is this machine, and trusted here."""
    made = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return made


# --- what arrives -----------------------------------------------------------------------------------------------------


async def test_a_message_arrives(house: Mailhouse, post: Post) -> None:
    output = await post.output(
        to=["Bob Ünal <bob@example.org>", "c@example.org"],
        cc="d@example.org",
        bcc=["e@example.org", "c@example.org"],
        reply_to="answers@example.com",
        subject="Grüße: 100 % <done>",
        text={"rows": ["ü"]},
        html="<p>ü</p>",
        headers={"X-Team": "data", "List-Id": "Ünicode"},
    )
    (letter,) = house.letters
    assert letter.sender == "ada@example.com"
    assert letter.recipients == ["bob@example.org", "c@example.org", "d@example.org", "e@example.org"]
    message = letter.message
    assert (message["From"], message["To"], message["Cc"]) == (
        "ada@example.com",
        "Bob Ünal <bob@example.org>, c@example.org",
        "d@example.org",
    )
    assert (message["Subject"], message["Reply-To"]) == ("Grüße: 100 % <done>", "answers@example.com")
    assert (message["X-Team"], message["List-Id"], message["Auto-Submitted"]) == ("data", "Ünicode", "auto-generated")
    assert message["Bcc"] is None
    assert b"e@example.org" not in letter.raw
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), html.get_content().strip()) == ('{"rows":["ü"]}', "<p>ü</p>")
    assert output["message_id"] == message["Message-ID"]
    assert output["accepted"] == letter.recipients
    assert (output["refused"], output["reply"]) == ({}, "taken")
    assert post.lines == ["sent to 4 of 4 recipients: taken"]


async def test_the_message_id_is_that_of_run_and_task(house: Mailhouse, post: Post) -> None:
    first = (await post.output())["message_id"]
    assert first.startswith(f"<{RUN}.")
    assert first.endswith("@example.com>")
    assert (await post.output(attempt=2, subject="Other"))["message_id"] == first
    assert (await post.output(task="other"))["message_id"] != first
    assert (await post.output(run=RUN[:-1] + "2"))["message_id"] != first
    assert len(house.letters) == 4


async def test_attachments(house: Mailhouse, post: Post) -> None:
    await post.output(
        attachments=[
            {"name": "Größe.txt", "content": "ü"},
            {"name": "rows.json", "content": [{"a": 1}], "media_type": "application/json"},
            {"name": "a.bin", "content": "AAEC/w==", "encoding": "base64", "media_type": "application/x-a"},
            {"artifact": "known", "name": "day.csv", "media_type": "text/csv", "size": 9, "sha256": "0" * 64},
            {"artifact": "known"},
        ]
    )
    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in house.letters[0].message.iter_attachments()
    ]
    table = "a;b\nü;1\n".encode()
    assert found == [
        ("Größe.txt", "text/plain", "ü".encode()),
        ("rows.json", "application/json", b'[{"a":1}]'),
        ("a.bin", "application/x-a", b"\x00\x01\x02\xff"),
        ("day.csv", "text/csv", table),
        ("report.csv", "text/csv", table),
    ]


async def test_lines_that_begin_with_a_dot_arrive(house: Mailhouse, post: Post) -> None:
    await post.output(text=".\n..\n.\nend")
    assert house.letters[0].message.get_content().splitlines() == [".", "..", ".", "end"]


async def test_international_addresses(house: Mailhouse, post: Post) -> None:
    await post.output(to=["ådå@bücher.example", "bob@bücher.example"])
    (letter,) = house.letters
    assert letter.recipients == ["ådå@xn--bcher-kva.example", "bob@xn--bcher-kva.example"]
    assert "SMTPUTF8" in letter.options
    await post.output(to="bob@bücher.example")
    assert "SMTPUTF8" not in house.letters[1].options


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_secured_and_signed_in(certificate: Path, tls: Any) -> None:
    with mailhouse(certificate=certificate, starttls=tls == "starttls", auth=True) as house:
        server = MailServer("localhost", house.port, tls, USER, PASSWORD, trusted=True)
        await Post(server).output()
        (letter,) = house.letters
        assert (letter.secured or tls == "tls", letter.user) == (True, USER)
        failure = await Post(MailServer("localhost", house.port, tls, USER, "wrong one", trusted=True)).failure()
        assert "does not accept the user and password: 535" in failure.message
        assert failure.details is not None
        assert (failure.details["smtp_code"], failure.details["permanent"]) == (535, True)
        assert "wrong one" not in str(failure)


async def test_who_cannot_be_secured_gets_nothing(house: Mailhouse, tmp_path: Path, certificate: Path) -> None:
    failure = await Post(server_at(house.port, tls="starttls")).failure()
    assert "STARTTLS extension not supported" in failure.message
    with mailhouse(certificate=self_signed(tmp_path, "other.example"), starttls=True) as other:
        failure = await Post(MailServer("localhost", other.port, "starttls", trusted=True)).failure()
        assert "the certificate is not accepted" in failure.message
        assert other.letters == []
    assert house.letters == []


async def test_a_password_does_not_travel_in_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with mailhouse(auth=True) as house:
        server = server_at(house.port, user=USER, password=PASSWORD)
        await Post(server).output()
        monkeypatch.setattr(smtp, "_is_loopback", lambda _client: False)
        failure = await Post(server).failure()
        assert "would travel in clear text" in failure.message
        assert len(house.letters) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "permanent"), [("550 5.1.1 no such user", True), ("451 4.2.0 greylisted, try again", False)]
)
async def test_nobody_gets_what_one_recipient_is_refused(
    house: Mailhouse, post: Post, reply: str, permanent: bool
) -> None:
    house.replies["c@example.org"] = reply
    failure = await post.failure(to=["b@example.org", "c@example.org"])
    assert failure.kind is FailureKind.ERROR
    assert failure.message == f"the mail server does not take mail for c@example.org: {reply}"
    code, _, text = reply.partition(" ")
    said = {"smtp_code": int(code), "permanent": permanent, "reply": text}
    assert failure.details is not None
    assert failure.details["refused"] == {"c@example.org": said}
    assert (failure.details["smtp_code"], failure.details["permanent"]) == (int(code), permanent)
    assert house.letters == []


async def test_a_part_of_the_recipients_if_that_is_wanted(house: Mailhouse, post: Post) -> None:
    house.replies = {"c@example.org": "550 no", "d@example.org": "451 later"}
    output = await post.output(to=["b@example.org", "c@example.org", "d@example.org"], partial=True)
    assert output["accepted"] == ["b@example.org"] == house.letters[0].recipients
    assert {address: said["smtp_code"] for address, said in output["refused"].items()} == {
        "c@example.org": 550,
        "d@example.org": 451,
    }
    failure = await post.failure(to=["c@example.org", "d@example.org"], partial=True)
    assert "for c@example.org and 1 more" in failure.message
    assert len(house.letters) == 1


@pytest.mark.parametrize("where", ["sender_reply", "message_reply"])
async def test_a_message_that_is_refused(house: Mailhouse, post: Post, where: str) -> None:
    for code, permanent in ((554, True), (452, False)):
        setattr(house, where, f"{code} not \x07 today")
        failure = await post.failure()
        assert failure.details is not None
        assert (failure.details["smtp_code"], failure.details["permanent"]) == (code, permanent)
        assert "maybe_sent" not in failure.details
    assert house.letters == []


async def test_a_connection_that_breaks_before_the_receipt(house: Mailhouse, post: Post) -> None:
    house.hang_up = True
    failure = await post.failure()
    assert failure.kind is FailureKind.ERROR
    assert "before it said whether it took the message" in failure.message
    assert failure.details is not None
    assert failure.details["maybe_sent"] is True


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "CONNECT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        failure = await Post(server_at(silent.getsockname()[1])).failure()
    assert failure.kind is FailureKind.TIMEOUT
    assert "did not answer in time" in failure.message


async def test_no_server() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        failure = await Post(server_at(bound.getsockname()[1])).failure()
    assert failure.kind is FailureKind.ERROR
    assert "Connection refused" in failure.message


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "it closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Malformed SMTP response"),
        (b"554 go away\r\n", "refuses: 554 go away"),
        (b"220 hello\r\n", "it closed the connection"),
    ],
)
async def test_what_is_no_mail_server(said: bytes, told: str) -> None:
    def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        failure = await Post(server_at(server.sockets[0].getsockname()[1])).failure()
    assert failure.kind is FailureKind.ERROR
    assert told in failure.message


# --- rules ------------------------------------------------------------------------------------------------------------


async def test_the_address_policy_holds_for_servers_of_connections(house: Mailhouse) -> None:
    config = {"host": "localhost", "port": house.port, "tls": "none", "from": "Robot <robot@example.com>"}
    connections = KnownConnections(own=config)
    failure = await Post(None, connections).failure(connection="own")
    assert failure.kind is FailureKind.REFUSED
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in failure.message
    assert house.letters == []
    await Post(None, connections, allowed=("localhost",)).output(connection="own", **{"from": None})
    assert house.letters[0].message["From"] == "Robot <robot@example.com>"


async def test_a_connection_or_server_that_is_not_there(house: Mailhouse, post: Post) -> None:
    failure = await Post(None).failure()
    assert (failure.kind, "MILLRACE_SMTP_HOST" in failure.message) == (FailureKind.REFUSED, True)
    failure = await Post(None).failure(connection="own")
    assert failure.kind is FailureKind.REFUSED
    failure = await Post(None, KnownConnections(broken={"port": "x", "password": "hidden value"})).failure(
        connection="broken"
    )
    assert (failure.kind, failure.message) == (FailureKind.REFUSED, "the connection 'broken' is not usable: host, port")
    failure = await post.failure(connection="other", **{"from": None})
    assert failure.kind is FailureKind.REFUSED


async def test_the_sender_of_the_settings(house: Mailhouse) -> None:
    failure = await Post(server_at(house.port)).failure(**{"from": None})
    assert (failure.kind, "MILLRACE_SMTP_FROM" in failure.message) == (FailureKind.INVALID_INPUT, True)
    await Post(server_at(house.port, sender=Mailbox.parse("Robot <r@example.com>"))).output(**{"from": None})
    assert house.letters[0].message["From"] == "Robot <r@example.com>"


@pytest.mark.parametrize(
    ("attachment", "told"),
    [
        ({"name": "a", "content": "not base64!", "encoding": "base64"}, "attachments[0]: the content is not base64"),
        ({"name": "a", "content": "x", "media_type": "text"}, "attachments[0]: 'text' is not the media type"),
        ({"name": "a", "content": "x" * (10 * 1024 * 1024 + 1)}, "attachments[0]: the attachments are larger than"),
        ({"artifact": "unknown"}, "attachments[0]: there is no file unknown"),
    ],
)
async def test_what_cannot_be_attached(house: Mailhouse, post: Post, attachment: dict[str, Any], told: str) -> None:
    failure = await post.failure(attachments=[attachment])
    assert failure.kind is FailureKind.INVALID_INPUT
    assert failure.message.startswith(told)
    assert house.letters == []


EVIL = "x\r\nBcc: eve@example.com"


@pytest.mark.parametrize(
    "config",
    [
        *(
            {name: f"ada@example.com{end}" for name in (field,)}
            for field in ("to", "cc", "bcc", "reply_to", "from")
            for end in EVIL[1:2]
        ),
        {"to": f"{EVIL} <ada@example.com>"},
        {"to": ["ada@example.com", f"ada@example.com{EVIL[1:]}"]},
        {"to": "ada@example.com, eve@example.com"},
        {"from": "Ada"},
        {"subject": EVIL},
        {"subject": "a\nb"},
        {"headers": {"X-A": EVIL}},
        {"headers": {EVIL: "a"}},
        {"headers": {"X-A:": "a"}},
        {"headers": {"bcc": "eve@example.com"}},
        {"headers": {"Message-ID": "<a@b>"}},
        {"headers": {"Content-Type": "text/html"}},
        {"attachments": [{"name": EVIL, "content": "a"}]},
        {"attachments": [{"name": "a"}]},
        {"attachments": [{"content": "a"}]},
        {"attachments": [{"name": "a", "content": "a", "artifact": "b"}]},
        {"to": []},
        {"to": [f"a{number}@example.com" for number in range(101)]},
        {"text": None},
        {"unknown": 1},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    EmailConfig(**MAIL)
    with pytest.raises(ValidationError):
        EmailConfig(**{**MAIL, **config})
