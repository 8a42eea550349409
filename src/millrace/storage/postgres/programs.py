"""PostgreSQL's own programs: which of them fits a server, and how it is run.

Whom to connect to is said in the environment of a program, and the password nowhere else: other users of the machine
can read command lines.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url

from millrace.ports.database import CopyFailed

PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu put the programs of each version, of which only one is in the PATH."""
OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}
"""What may follow the `?` of an address, and what the programs call it."""


async def find(name: str, major: int) -> str:
    """The program for a server of that version: of the same if it is there, else of the next. Raises `CopyFailed`."""
    versions: dict[int, str] = {}
    for place in _places(name):
        versions.setdefault(await _version(place), place)
    fitting = [version for version in sorted(versions) if version >= major]
    if not fitting:
        found = f"; there is {', '.join(map(str, sorted(versions)))}" if versions else ""
        raise CopyFailed(
            f"the program {name} of PostgreSQL {major} or newer is neither in the PATH nor in {PACKAGED}{found}; "
            f"install it, for example the package postgresql-client-{major}"
        )
    return versions[fitting[0]]


async def run(program: str, *arguments: str, url: str | None = None) -> str:
    """What the program prints. Raises `CopyFailed` with what it complains of; it ends with whoever waits for it."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env={**os.environ, "LC_MESSAGES": "C", **({} if url is None else environment(url))},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CopyFailed(_reason(program, complaint.decode(errors="replace")))
    return printed.decode(errors="replace")


def environment(url: str) -> Mapping[str, str]:
    """The variables by which a program finds and enters the database."""
    address = make_url(url)
    parts = {"host": address.host, "port": address.port, "user": address.username, "password": address.password}
    found = {OPTIONS[name]: str(value) for name, value in parts.items() if value is not None}
    found |= {OPTIONS[name]: str(value) for name, value in address.query.items() if name in OPTIONS}
    return {**found, "PGDATABASE": address.database or "", "PGAPPNAME": "millrace"}


def _places(name: str) -> Iterator[str]:
    in_path = shutil.which(name)
    if in_path is not None:
        yield in_path
    yield from map(str, sorted(PACKAGED.glob(f"*/bin/{name}")))


async def _version(place: str) -> int:
    found = re.search(r"\(PostgreSQL\) (\d+)", await run(place, "--version"))
    return int(found[1]) if found else 0


def _reason(program: str, complaint: str) -> str:
    """The line that says what is wrong: the first error, since all else follows from it."""
    lines = [line for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line] or lines or ["it ended without a word"]
    return f"{Path(program).name}: {errors[0].partition('error: ')[2] or errors[0]}"
