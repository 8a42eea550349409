"""The log of the process itself: what it says passes through the masker, whoever wrote it and whatever was raised."""

import logging

from millrace.ports.secrets import Masker


class MaskedFormatter(logging.Formatter):
    """Formats as another formatter does, tracebacks included, and masks the result."""

    def __init__(self, inner: logging.Formatter, masker: Masker) -> None:
        super().__init__()
        self._inner = inner
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        return self._masker.text(self._inner.format(record))


def mask_logs(masker: Masker) -> None:
    """Mask everything that the handlers of the root logger write from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(MaskedFormatter(handler.formatter or logging.Formatter(), masker))
