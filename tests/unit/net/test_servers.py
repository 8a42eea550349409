"""What a connection says about a mail server: usable as a whole, or each unusable field is named."""

from typing import Any

import pytest

from millrace.ports.mail import Mailbox, MailServer, server_of_connection


def test_what_is_not_said_is_as_usual() -> None:
    assert server_of_connection({"host": "mail.example.com"}) == MailServer("mail.example.com", 587, "starttls")
    assert server_of_connection({"host": "h", "tls": "tls"}).port == 465
    assert server_of_connection({"host": "h", "tls": "none"}).port == 25


def test_everything_can_be_said() -> None:
    config = {"host": "h", "port": 2525, "tls": "none", "user": "u", "password": "p", "from": "Ada <ada@example.com>"}
    sender = Mailbox("ada@example.com", "Ada")
    assert server_of_connection({**config, "unknown": 1}) == MailServer("h", 2525, "none", "u", "p", sender)


def test_empty_user_and_sender_are_none() -> None:
    server = server_of_connection({"host": "h", "user": "", "from": "", "password": None})
    assert (server.user, server.sender, server.password) == (None, None, None)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "host"),
        ({"host": ""}, "host"),
        ({"host": 1, "port": 70_000, "tls": "ssl"}, "host, port, tls"),
        ({"host": "h", "port": True}, "port"),
        ({"host": "h", "port": "25"}, "port"),
        ({"host": "h", "user": 1, "password": 2}, "user, password"),
        ({"host": "h", "from": 3}, "from: write a mail address"),
        ({"host": "h", "from": "nobody"}, "from: 'nobody' is not a mail address"),
        ({"host": "h", "from": "a@example.com\r\nBcc: b@example.com"}, "from: a header cannot hold a line break"),
    ],
)
def test_what_is_unusable_is_named(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="^" + told):
        server_of_connection(config)


def test_no_value_that_is_secret_is_told() -> None:
    with pytest.raises(ValueError, match=r"^password$") as failure:
        server_of_connection({"host": "h", "password": ["hidden value"]})
    assert failure.value.__cause__ is None
