"""What an operator should know about the settings that he has made, though they can be worked with."""

import os
from collections.abc import Mapping
from difflib import get_close_matches

from millrace.config import PREFIX, Settings, settings_table

FOREIGN_NAMES = frozenset({"MILLRACE_ATTEMPT", "MILLRACE_URL", "MILLRACE_API_KEY"})
"""Names that others read: child processes of tasks, and the command line."""

FOREIGN_PREFIXES = ("MILLRACE_SECRET_", "MILLRACE_TEST_")
OWN_PREFIX = "MILLRACE_TEST_MODE"
"""Begins like a foreign one."""


def setting_warnings(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What the operator should know: names nobody reads (with the name that was probably meant), an open address."""
    known = {name for row in settings_table() for name in row.names}
    warnings = []
    for name in sorted(environment):
        foreign = name in FOREIGN_NAMES or (name.startswith(FOREIGN_PREFIXES) and not name.startswith(OWN_PREFIX))
        if not name.startswith(PREFIX) or name in known or foreign:
            continue
        meant = get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        warnings.append(f"{name} is not a setting of Millrace and has no effect{hint}")
    if not settings.loopback_only:
        warnings.append(
            f"MILLRACE_HOST={settings.host} lets other machines connect; "
            "put a proxy with TLS in front, for API keys travel in clear text"
        )
    if settings.sqlite_synchronous != "full":
        warnings.append(
            f"MILLRACE_SQLITE_SYNCHRONOUS={settings.sqlite_synchronous}: a power cut can undo acknowledged work"
        )
    return warnings
