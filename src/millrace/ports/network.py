"""The port for the address policy: which hosts of the world outside a task may connect to.

Every connection that leaves Millrace goes to an address that came from here, so a name cannot point elsewhere between
the check and the connection.
"""

from typing import Protocol


class AddressRefused(Exception):
    """A host may not be reached; the message names host, address and the setting that would allow it."""


class Addresses(Protocol):
    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The IP addresses that `host` (a name or an address in any notation) has now, all of them allowed.

        Raises `AddressRefused` if one is not (one bad address among good ones is an attack, or will look like one),
        and `OSError` when the name has none.
        """
        ...
