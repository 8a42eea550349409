"""Mail addresses and messages: what may be one, and that what is sent reads back as what was meant."""

from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.net.messages import composed
from millrace.ports.mail import Attachment, Mailbox, Message

ADA = Mailbox("ada@example.com")
MESSAGE = Message(sender=ADA, subject="Hello", id="1@example.com", to=(Mailbox("bob@example.org"),), text="Hi")

LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf", "Co", "Cn", "Zs")), max_size=60)


def read_back(message: Message) -> EmailMessage:
    raw = composed(message)
    assert raw.replace(b"\r\n", b"").count(b"\n") == 0
    assert raw.replace(b"\r\n", b"").count(b"\r") == 0
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    read = message_from_bytes(raw, policy=default)
    assert isinstance(read, EmailMessage)
    return read


def mailboxes(message: Message, header: str) -> list[tuple[str, str]]:
    """Names and addresses. The newer parser of Python 3.11 puts blanks between encoded words, so this is the older."""
    raw = str(message_from_bytes(composed(message))[header]).replace("\r\n", "")
    return [(str(make_header(decode_header(name))), address) for name, address in getaddresses([raw])]


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ada@example.com", "ada@example.com", ""),
        ("  Ada Lovelace <ada@Example.COM> ", "ada@example.com", "Ada Lovelace"),
        ('"Lovelace, Ada \\"A\\"" <ada@example.com>', "ada@example.com", 'Lovelace, Ada "A"'),
        ("<ada@localhost>", "ada@localhost", ""),
        ("ada+test.x_y@mail-1.example.com", "ada+test.x_y@mail-1.example.com", ""),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", ""),
        ("ådå@例え.jp", "ådå@xn--r8jz45g.jp", ""),
        ("Ünal Öz <u@example.com>", "u@example.com", "Ünal Öz"),
    ],
)
def test_addresses(text: str, address: str, name: str) -> None:
    assert Mailbox.parse(text) == Mailbox(address, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com, bob@example.com",
        "Ada <ada@example.com>, Bob <bob@example.com>",
        "ada@example.com bob@example.com",
        "a b@example.com",
        "ada@@example.com",
        ".ada@example.com",
        "ada..x@example.com",
        "ada@-x.com",
        "ada@example..com",
        "ada@exa_mple.com",
        "ada@[127.0.0.1]",
        "ada@example.com\r\nBcc: eve@example.com",
        "Ada\nBcc: eve@example.com <ada@example.com>",
        "Ada\u2028 <ada@example.com>",
        "ada@example.com> SIZE=1",
        f"{'a' * 65}@example.com",
        f"ada@{'a' * 64}.com",
        f"{'x' * 201} <ada@example.com>",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a mail address|line break|at most"):
        Mailbox.parse(text)


@given(subject=LINE, name=NAMES)
def test_headers_read_back_as_they_were_meant(subject: str, name: str) -> None:
    message = replace(
        MESSAGE, subject=subject, sender=Mailbox("ada@example.com", name), to=(Mailbox("b@c.de", name),) * 3
    )
    read = read_back(message)
    assert str(read["subject"]) == subject
    assert mailboxes(message, "From") == [(name, "ada@example.com")]
    assert mailboxes(message, "To") == [(name, "b@c.de")] * 3


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=3000))
def test_bodies_read_back_as_they_were_meant(text: str) -> None:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    read = read_back(replace(MESSAGE, text=plain, html=plain))
    parts = list(read.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    for part in parts:
        assert part.get_content().replace("\r\n", "\n").removesuffix("\n") == plain.removesuffix("\n")
        assert part["content-transfer-encoding"] in ("7bit", "quoted-printable", "base64")


@pytest.mark.parametrize("field", ["subject", "id"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028"])
def test_no_header_can_be_put_into_another(field: str, end: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        replace(MESSAGE, **{field: f"a{end}Bcc: eve@example.com"})
    with pytest.raises(ValueError, match="line break"):
        replace(MESSAGE, headers={"X-A": f"a{end}Bcc: eve@example.com"})
    with pytest.raises(ValueError, match="name of a header"):
        replace(MESSAGE, headers={f"X-A: b{end}Bcc": "eve@example.com"})
    with pytest.raises(ValueError, match="line break"):
        Attachment(f"a{end}Bcc: eve@example.com", b"", "text/plain")


def test_what_looks_encoded_stays_what_it_is() -> None:
    evil = "=?utf-8?q?=0ABcc=3A_eve=40example=2Ecom?="
    read = read_back(replace(MESSAGE, subject=evil, sender=Mailbox("ada@example.com", evil)))
    assert str(read["subject"]) == evil
    assert read["bcc"] is None
    boss = replace(MESSAGE, sender=Mailbox("ada@example.com", "=?utf-8?q?The_Boss?="))
    assert mailboxes(boss, "From") == [("=?utf-8?q?The_Boss?=", "ada@example.com")]


def test_bcc_is_in_no_header() -> None:
    message = replace(MESSAGE, bcc=(Mailbox("eve@example.com"),), to=())
    assert b"eve" not in composed(message)
    assert read_back(message)["to"] is not None
    assert [one.address for one in message.recipients] == ["eve@example.com"]


def test_attachments() -> None:
    files = (
        Attachment("Grüße, 1.csv", "ü;1".encode(), "text/csv"),
        Attachment("a.bin", bytes(range(256)), "application/x-a"),
    )
    read = read_back(replace(MESSAGE, attachments=files))
    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in read.iter_attachments()
    ]
    assert found == [(one.name, one.media_type, one.content) for one in files]
    body = read.get_body()
    assert body is not None
    assert body.get_content().split() == ["Hi"]


@pytest.mark.parametrize("kind", ["", "text", "multipart/mixed", "message/rfc822", "text/a b", "text/x\r\nA: b"])
def test_what_is_no_media_type_of_a_file(kind: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        Attachment("a", b"", kind)
