"""Meets `ports.secrets.Secrets`: environment, then folder, then database; the first that has a name gives its value.

Every value that passes through here is made known to the masker first, so nothing can use a secret that the log does
not already hide. Values too short to be hidden without hiding half of every log are refused.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from millrace.auth.masking import SecretMasker
from millrace.config import Settings
from millrace.ports.secrets import SecretUnavailable

VARIABLE = "MILLRACE_SECRET_"
SHORTEST = 6
LARGEST = 65_536

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretSource(Protocol):
    """One place that secrets come from. It remembers nothing that can change: what is new holds from its commit on."""

    label: str
    """What it is called where people are told that it wins over another."""

    async def find(self, names: frozenset[str]) -> Mapping[str, str]:
        """The values of those names that it has. Raises `SecretUnavailable` for one that it has and cannot read."""
        ...

    async def everything(self) -> Sequence[str]:
        """All values there are now, for the masker; those that cannot be read are left out."""
        ...

    def remedy(self, name: str) -> str:
        """How to define the secret here: a part of a sentence."""
        ...


class SecretChain:
    def __init__(self, sources: Iterable[SecretSource], masker: SecretMasker) -> None:
        self._sources = tuple(sources)
        self._masker = masker

    async def learn_all(self) -> None:
        """Let the masker know every value there is, so that one that gets out by another way is masked as well."""
        for source in self._sources:
            self._masker.learn(value for value in await source.everything() if len(value) >= SHORTEST)

    async def resolve(self, names: frozenset[str]) -> Mapping[str, str]:
        found = await self._found(names)
        values = {name: self._usable(name, found.get(name)) for name in sorted(names)}
        self._masker.learn(values.values())
        return values

    async def unusable(self, names: frozenset[str]) -> Mapping[str, str]:
        """Why a task that reads one of these would fail now, and what to do, by name. None, mostly: each source is
        asked once for all."""
        try:
            found = await self._found(names)
        except SecretUnavailable:
            return {name: reason for name in sorted(names) if (reason := await self._reason(name)) is not None}
        reasons = {name: self._fault(name, found.get(name)) for name in sorted(names)}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    async def _reason(self, name: str) -> str | None:
        try:
            return self._fault(name, (await self._found(frozenset({name}))).get(name))
        except SecretUnavailable as error:
            return str(error)

    async def overriding(self, names: frozenset[str]) -> Mapping[str, str]:
        """For each name that has a value before the last source, which people write to: the label of the winner."""
        labels: dict[str, str] = {}
        for source in self._sources[:-1]:
            found = await source.find(names - labels.keys())
            labels.update(dict.fromkeys(found, source.label))
        return labels

    async def _found(self, names: frozenset[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for source in self._sources:
            missing = names - found.keys()
            if not missing:
                break
            found.update(await source.find(missing))
        return found

    def _usable(self, name: str, value: str | None) -> str:
        fault = self._fault(name, value)
        if value is None or fault is not None:
            raise SecretUnavailable(fault)
        return value

    def _fault(self, name: str, value: str | None) -> str | None:
        if value is None:
            remedies = " or ".join(source.remedy(name) for source in self._sources)
            return f"there is no secret {name!r}; {remedies}"
        if len(value) < SHORTEST:
            return (
                f"the secret {name!r} is shorter than {SHORTEST} characters and could not be kept out of logs; "
                "use a longer value"
            )
        return None


class EnvironmentSecrets:
    """`MILLRACE_SECRET_<NAME>`, in the letters of the name or in upper case."""

    label = "environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {
            name.removeprefix(VARIABLE): value for name, value in environment.items() if name.startswith(VARIABLE)
        }

    async def find(self, names: frozenset[str]) -> Mapping[str, str]:
        found = {name: self._values.get(name, self._values.get(name.upper())) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    async def everything(self) -> Sequence[str]:
        return list(self._values.values())

    def remedy(self, name: str) -> str:
        return f"set {VARIABLE}{name.upper()}"


class FolderSecrets:
    """A folder with one file per secret. Files are read at each use, so a rotated secret needs no restart."""

    label = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, names: frozenset[str]) -> Mapping[str, str]:
        places = {name: self._folder / name for name in names if NAME.fullmatch(name)}
        read = {name: await asyncio.to_thread(_read, place) for name, place in places.items()}
        return {name: value for name, value in read.items() if value is not None}

    async def everything(self) -> Sequence[str]:
        return await asyncio.to_thread(self._all)

    def remedy(self, name: str) -> str:
        return f"write it to the file {self._folder / name}"

    def _all(self) -> list[str]:
        values = []
        for place in sorted(self._folder.glob("*")):
            try:
                value = _read(place) if NAME.fullmatch(place.name) and place.is_file() else None
            except SecretUnavailable:
                continue
            if value is not None:
                values.append(value)
        return values


def sources_of(settings: Settings) -> tuple[SecretSource, ...]:
    """Those outside of the database, which win over it; in the order in which they win."""
    folder = () if settings.secrets_dir is None else (FolderSecrets(settings.secrets_dir),)
    return (EnvironmentSecrets(os.environ), *folder)


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
