"""Answers are searched for secrets as they go out, and large ones do not hold up everybody else meanwhile."""

import threading
from types import SimpleNamespace

import pytest
from starlette.types import Message

from millrace.api.masking import LARGE, Answer
from millrace.auth.masking import SecretMasker
from millrace.core.values import JsonValue

SECRET = "open-sesame-77"


class Listening(SecretMasker):
    """Knows in which threads it was asked."""

    def __init__(self) -> None:
        super().__init__([SECRET])
        self.asked_in: set[int] = set()

    def value(self, value: JsonValue) -> JsonValue:
        self.asked_in.add(threading.get_ident())
        return super().value(value)


@pytest.mark.parametrize("is_large", [False, True])
async def test_a_large_document_is_searched_in_a_thread(is_large: bool) -> None:
    masker, sent = Listening(), list[Message]()
    body = b'{"text":"' + b"x" * (LARGE if is_large else 0) + SECRET.encode() + b'"}'

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "app": SimpleNamespace(state=SimpleNamespace(masker=masker))}
    await Answer(body, 200)(scope, receive, send)
    masked = body.replace(SECRET.encode(), b"***")
    assert sent[1]["body"] == masked
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(masked)).encode()
    assert (threading.get_ident() in masker.asked_in) is not is_large
