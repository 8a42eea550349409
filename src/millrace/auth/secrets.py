"""Meets `ports.secrets.Secrets`: environment, then folder, then database; the first that has a name gives its value.

Every value that passes through here is made known to the masker first, so nothing can use a secret that the log does
not already hide. Values too short to be hidden without hiding half of every log are refused.
"""

import asyncio
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from millrace.auth.masking import SecretMasker
from millrace.auth.scopes import Found, hosts_fault, secret_fault
from millrace.config import Settings
from millrace.ports.hosts import ANY_HOST, limit_of
from millrace.ports.secrets import ResolvedSecrets, SecretUnavailable, SecretUse

VARIABLE = "MILLRACE_SECRET_"
SHORTEST = 6
LARGEST = 65_536

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretSource(Protocol):
    """One place that secrets come from. It remembers nothing that can change: what is new holds from its commit on."""

    label: str
    """What it is called where people are told that it wins over another."""

    async def find(self, names: frozenset[str]) -> Mapping[str, Found]:
        """Those of the names that it has. Raises `SecretUnavailable` for one that it has and cannot read."""
        ...

    async def scopes(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        """For those of the names that it has, readable or not: the workflows that each is for, `None` for all."""
        ...

    async def everything(self) -> Sequence[str]:
        """All values there are now, for the masker; those that cannot be read are left out."""
        ...

    def remedy(self, name: str) -> str:
        """How to define the secret here: a part of a sentence."""
        ...


class OutsideSource(SecretSource, Protocol):
    """One outside of the database: what it has can be seen here alone."""

    async def names(self) -> Collection[str]:
        """Of all that it has, readable or not."""
        ...


class SecretChain:
    def __init__(
        self, sources: Iterable[SecretSource], masker: SecretMasker, *, outside: Sequence[OutsideSource] = ()
    ) -> None:
        """`outside` are asked before the `sources`, in this order."""
        self._sources = (*outside, *sources)
        self._outside = outside
        self._masker = masker

    async def learn_all(self) -> None:
        """Let the masker know every value there is, so that one that gets out by another way is masked as well."""
        for source in self._sources:
            self._masker.learn(value for value in await source.everything() if len(value) >= SHORTEST)

    async def resolve(self, names: frozenset[str], use: SecretUse) -> ResolvedSecrets:
        found = await self._found(names)
        for name in sorted(names):
            fault = _fault(self._sources, name, found.get(name), use)
            if fault is not None:
                raise SecretUnavailable(fault)
        values = {name: found[name].value for name in sorted(names)}
        self._masker.learn(values.values())
        bound = [(name, hosts) for name in sorted(names) if (hosts := found[name].hosts) is not None]
        return ResolvedSecrets(values, limit_of(bound) if bound else ANY_HOST)

    async def unusable(self, names: frozenset[str], use: SecretUse) -> Mapping[str, str]:
        """Why what reads one of these would fail now, and what to do, by name. None, mostly: each source is asked once
        for all."""
        try:
            found = await self._found(names)
        except SecretUnavailable:
            return {name: reason for name in sorted(names) if (reason := await self._reason(name, use)) is not None}
        reasons = {name: _fault(self._sources, name, found.get(name), use) for name in sorted(names)}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    async def scopes(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        """For those of the names that are defined: the workflows that each is for, `None` for all."""
        found: dict[str, Collection[str] | None] = {}
        for source in self._sources:
            missing = names - found.keys()
            if not missing:
                break
            found.update(await source.scopes(missing))
        return found

    async def _reason(self, name: str, use: SecretUse) -> str | None:
        try:
            return _fault(self._sources, name, (await self._found(frozenset({name}))).get(name), use)
        except SecretUnavailable as error:
            return str(error)

    async def overriding(self, names: frozenset[str]) -> Mapping[str, str]:
        """For each name that has a value before the last source, which people write to: the label of the winner."""
        labels: dict[str, str] = {}
        for source in self._outside:
            found = await source.find(names - labels.keys())
            labels.update(dict.fromkeys(found, source.label))
        return labels

    async def defined_outside(self) -> Mapping[str, str]:
        """The names that are defined outside of the database, sorted, each with the label of whose value holds."""
        labels: dict[str, str] = {}
        for source in self._outside:
            labels = {**dict.fromkeys(await source.names(), source.label), **labels}
        return dict(sorted(labels.items()))

    async def _found(self, names: frozenset[str]) -> Mapping[str, Found]:
        found: dict[str, Found] = {}
        for source in self._sources:
            missing = names - found.keys()
            if not missing:
                break
            found.update(await source.find(missing))
        return found


def _fault(sources: Iterable[SecretSource], name: str, found: Found | None, use: SecretUse) -> str | None:
    """Why a use does not get a secret, and what to do; `None` if it does."""
    if found is None:
        remedies = " or ".join(source.remedy(name) for source in sources)
        return f"there is no secret {name!r}; {remedies}"
    if len(found.value) < SHORTEST:
        return (
            f"the secret {name!r} is shorter than {SHORTEST} characters and could not be kept out of logs; "
            "use a longer value"
        )
    return secret_fault(name, found.workflows, use) or hosts_fault(name, found.hosts, use)


class EnvironmentSecrets:
    """`MILLRACE_SECRET_<NAME>`, in the letters of the name or in upper case."""

    label = "environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {
            name.removeprefix(VARIABLE): value for name, value in environment.items() if name.startswith(VARIABLE)
        }

    async def find(self, names: frozenset[str]) -> Mapping[str, Found]:
        found = {name: self._values.get(name, self._values.get(name.upper())) for name in names}
        return {name: Found(value) for name, value in found.items() if value is not None}

    async def scopes(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        return dict.fromkeys(await self.find(names))

    async def everything(self) -> Sequence[str]:
        return list(self._values.values())

    async def names(self) -> Collection[str]:
        return [name for name in self._values if NAME.fullmatch(name)]

    def remedy(self, name: str) -> str:
        return f"set {VARIABLE}{name.upper()}"


class FolderSecrets:
    """A folder with one file per secret. Files are read at each use, so a rotated secret needs no restart."""

    label = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, names: frozenset[str]) -> Mapping[str, Found]:
        places = {name: self._folder / name for name in names if NAME.fullmatch(name)}
        read = {name: await asyncio.to_thread(_read, place) for name, place in places.items()}
        return {name: Found(value) for name, value in read.items() if value is not None}

    async def scopes(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        return await asyncio.to_thread(self._there, names)

    async def everything(self) -> Sequence[str]:
        return await asyncio.to_thread(self._all)

    async def names(self) -> Collection[str]:
        return await asyncio.to_thread(lambda: [place.name for place in self._files()])

    def remedy(self, name: str) -> str:
        return f"write it to the file {self._folder / name}"

    def _there(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        return {name: None for name in names if NAME.fullmatch(name) and (self._folder / name).exists()}

    def _files(self) -> list[Path]:
        return [place for place in sorted(self._folder.glob("*")) if NAME.fullmatch(place.name) and place.is_file()]

    def _all(self) -> list[str]:
        values = []
        for place in self._files():
            try:
                value = _read(place)
            except SecretUnavailable:
                continue
            if value is not None:
                values.append(value)
        return values


def outside_of(settings: Settings) -> tuple[OutsideSource, ...]:
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
