"""What an operator should know about the settings that he has made, though they can be worked with."""

import os
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from millrace.config.checks import SHORTEST
from millrace.config.exposure import is_clear_text
from millrace.config.settings import PREFIX, Settings
from millrace.config.table import settings_table

FOREIGN_NAMES = frozenset({"MILLRACE_ATTEMPT", "MILLRACE_URL", "MILLRACE_API_KEY", "MILLRACE_CA"})
"""Names that others read: child processes of tasks, and the command line."""

SECRETS_BEGIN = "MILLRACE_SECRET_"
FOREIGN_PREFIXES = (SECRETS_BEGIN, "MILLRACE_TEST_")
OWN_PREFIX = "MILLRACE_TEST_MODE"
"""Begins like a foreign one."""


def setting_warnings(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What the operator should know: names nobody reads (with the name that was probably meant), what is unsafe."""
    known = {name for row in settings_table() for name in row.names}
    warnings = []
    for name in sorted(environment):
        foreign = name in FOREIGN_NAMES or (name.startswith(FOREIGN_PREFIXES) and not name.startswith(OWN_PREFIX))
        if not name.startswith(PREFIX) or name in known or foreign:
            continue
        meant = get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        warnings.append(f"{name} is not a setting of Millrace and has no effect{hint}")
    warnings += _useless_secrets(settings, environment, known)
    if is_clear_text(settings):
        warnings.append(
            f"MILLRACE_ALLOW_INSECURE_PUBLIC: other machines reach {settings.host}, and passwords and API keys travel "
            "in clear text"
        )
    if settings.sqlite_synchronous != "full":
        warnings.append(
            f"MILLRACE_SQLITE_SYNCHRONOUS={settings.sqlite_synchronous}: a power cut can undo acknowledged work"
        )
    return warnings


def _useless_secrets(settings: Settings, environment: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    folder = settings.secrets_dir
    if folder is not None and not folder.is_dir():
        yield f"MILLRACE_SECRETS_DIR: there is no folder {folder}, so it defines no secrets"
    for name in sorted(environment):
        if name.startswith(SECRETS_BEGIN) and name not in known and len(environment[name]) < SHORTEST:
            yield f"{name} is shorter than {SHORTEST} characters and defines no secret that can be used"
