"""Meets `ports.secrets.Secrets`: values from `MILLRACE_SECRET_<NAME>` and from a folder with one file per secret.

Every value that passes through here is made known to the masker first, so nothing can use a secret that the log does
not already hide. Values too short to be hidden without hiding half of every log are refused.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from millrace.auth.masking import SecretMasker
from millrace.ports.secrets import SecretUnavailable

VARIABLE = "MILLRACE_SECRET_"
SHORTEST = 6
LARGEST = 65_536

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvironmentSecrets:
    """The environment wins over the folder. Files are read at each use, so a rotated secret needs no restart."""

    def __init__(self, environment: Mapping[str, str], folder: Path | None, masker: SecretMasker) -> None:
        self._environment = {
            name.removeprefix(VARIABLE): value for name, value in environment.items() if name.startswith(VARIABLE)
        }
        self._folder = folder
        self._masker = masker
        masker.learn(value for value in self._environment.values() if len(value) >= SHORTEST)

    async def resolve(self, names: frozenset[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name in sorted(names):
            value = self._from_environment(name)
            if value is None and self._folder is not None and _NAME.fullmatch(name):
                value = await asyncio.to_thread(_read, self._folder / name)
            found[name] = self._usable(name, value)
        self._masker.learn(found.values())
        return found

    def _from_environment(self, name: str) -> str | None:
        value = self._environment.get(name)
        return self._environment.get(name.upper()) if value is None else value

    def _usable(self, name: str, value: str | None) -> str:
        if value is None:
            folder = f" or write it to the file {self._folder / name}" if self._folder is not None else ""
            raise SecretUnavailable(f"there is no secret {name!r}; set {VARIABLE}{name.upper()}{folder}")
        if len(value) < SHORTEST:
            raise SecretUnavailable(
                f"the secret {name!r} is shorter than {SHORTEST} characters and could not be kept out of logs; "
                "use a longer value"
            )
        return value


def _read(place: Path) -> str | None:
    try:
        with place.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretUnavailable(f"the secret file {place} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise SecretUnavailable(f"the secret file {place} is larger than {LARGEST} bytes")
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretUnavailable(f"the secret file {place} is not UTF-8 text") from None
