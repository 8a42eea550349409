"""Why a connection failed, in the words of the system: the libraries wrap errors several times and lose the reason."""

import os
import socket
import ssl


def reason_of(error: BaseException) -> str:
    for cause in reversed(tuple(_chain(error))):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause.reason or cause}"
        if isinstance(cause, socket.gaierror):
            return cause.strerror or "the name is unknown"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return str(error) or f"the connection broke ({type(error).__name__})"


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it was raised from, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
