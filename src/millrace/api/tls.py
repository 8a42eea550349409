"""The certificate that the API shows, and its key: TLS 1.2 or newer, by the defaults of the TLS library beyond that."""

import ssl
from pathlib import Path


class CertificateUnusable(Exception):
    """There is no HTTPS with these files; the message names the one that is wrong, and the setting."""


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Raises `CertificateUnusable`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, cert, key)
    return context


def reload_certificate(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Show new connections what is in the files now. Raises `CertificateUnusable`, and all is as it was."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)
    _load(context, cert, key)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for file, setting in ((cert, "MILLRACE_TLS_CERT"), (key, "MILLRACE_TLS_KEY")):
        try:
            file.read_bytes()
        except OSError as error:
            raise CertificateUnusable(f"{setting}: the file {file} cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(cert, key, _no_password)
    except _Encrypted:
        raise CertificateUnusable(
            f"MILLRACE_TLS_KEY: the key in {key} is encrypted; write it into a file without a password that only this "
            "user may read"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateUnusable(
                f"MILLRACE_TLS_KEY: the key in {key} is not that of the first certificate in {cert}"
            ) from None
        raise CertificateUnusable(
            f"MILLRACE_TLS_CERT, MILLRACE_TLS_KEY: {cert} and {key} are no certificate and no key as PEM"
        ) from None


class _Encrypted(Exception):
    """The key asks for a password, and there is nobody to be asked."""


def _no_password() -> str:
    raise _Encrypted
