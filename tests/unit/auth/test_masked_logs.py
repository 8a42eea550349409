"""The process's own log: messages, arguments and tracebacks are masked, whoever wrote them."""

import io
import logging
from collections.abc import Iterator

import pytest

from millrace.auth.masked_logs import mask_logs
from millrace.auth.masking import SecretMasker

SECRET = "open-sesame"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, written = root.handlers[:], io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.handlers[:] = [handler]
    yield written
    root.handlers[:] = before


def test_a_line_and_a_traceback_are_masked_also_for_secrets_learned_later(log: io.StringIO) -> None:
    masker = SecretMasker()
    mask_logs(masker)
    masker.learn([SECRET])
    logger = logging.getLogger("some.package")
    logger.warning("GET %s of %s", f"/x?token={SECRET}", "http://me:another-password@host/")
    try:
        raise RuntimeError(f"cannot use {SECRET}")
    except RuntimeError:
        logger.exception("it failed")
    text = log.getvalue()
    assert SECRET not in text
    assert "WARNING some.package: GET /x?token=*** of http://me:***@host/" in text
    assert "RuntimeError: cannot use ***" in text
