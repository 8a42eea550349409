"""TLS to a database: the connection goes to a checked address, the certificate must be for the host's name."""

import ssl
from typing import Any


class NamedContext(ssl.SSLContext):
    """A client context that asks for `name` whatever the driver, which only knows the address, passes on."""

    name: str

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        options["server_hostname"] = self.name
        return super().wrap_bio(*args, **options)


def tls_context(mode: str, host: str) -> NamedContext | None:
    """The context for an sslmode; None for `disable`. Only `verify-ca` and `verify-full` check the certificate."""
    if mode == "disable":
        return None
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = host
    context.check_hostname = mode == "verify-full"
    if mode in ("verify-ca", "verify-full"):
        context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    return context
