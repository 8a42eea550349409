"""Files that a command is to leave behind: declared by name, read from its working directory, kept as artifacts.

A command may be less trusted than the files around it. So a path is walked folder by folder from the working directory
and no link is followed, neither at its end nor on the way: what is read lies below that directory for certain.
"""

import asyncio
import errno
import mimetypes
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject
from millrace.ports.artifacts import ANY_BYTES, ArtifactFault
from millrace.ports.confinement import SystemUser
from millrace.ports.runner import RunnerContext
from millrace.runners.own_folders import may_enter, may_read

READ_AT_ONCE = 256 * 1024
MOST_FILES = 100
NOT_A_FILE_BELOW = frozenset({errno.ELOOP, errno.ENOTDIR})


def _paths(outputs: dict[str, str]) -> dict[str, str]:
    for name, path in outputs.items():
        parts = path.split("/")
        if not path or "\0" in path or path.startswith("/") or ".." in parts or not PurePosixPath(path).name:
            raise ValueError(
                f"{name}: {path!r} is not a path below the working directory; write such as out/report.csv"
            )
    return outputs


OutputFiles: TypeAlias = Annotated[
    dict[str, str],
    AfterValidator(_paths),
    Field(
        max_length=MOST_FILES,
        description="Files that the command leaves in its working directory, such as {report: out/report.csv}: each "
        "becomes an artifact, and `files` in the output has the references. Links are not followed.",
    ),
]


async def keep_files(
    outputs: Mapping[str, str], folder: Path, context: RunnerContext, reader: SystemUser | None = None
) -> JsonObject:
    """Store the files and answer their references by name. Raises `ArtifactFault` for one that is not there.

    `reader` is whom the command ran as: what he could not have read himself is not read for him, under whatever name
    he has put it there.
    """
    files: JsonObject = {}
    for name, path in outputs.items():
        media_type = mimetypes.guess_type(path, strict=False)[0] or ANY_BYTES
        with _opened(folder, name, path, reader) as file:
            files[name] = await context.artifacts.write(
                _content(file), name=PurePosixPath(path).name, media_type=media_type
            )
    return files


def _opened(folder: Path, name: str, path: str, reader: SystemUser | None) -> FileIO:
    try:
        return FileIO(_walked(folder, PurePosixPath(path).parts, reader))
    except IsNotReaders as fault:
        raise _fault(name, path, str(fault)) from None
    except FileNotFoundError:
        raise _fault(name, path, "is not there") from None
    except OSError as error:
        if error.errno in NOT_A_FILE_BELOW:
            raise _fault(name, path, "is a link, or reached through one, which is not followed") from None
        raise _fault(name, path, f"cannot be read: {error.strerror}") from None
    except IsNotAFile:
        raise _fault(name, path, "is not a file") from None


class IsNotAFile(Exception):
    pass


class IsNotReaders(Exception):
    """It is not for whom the command ran as; the message says so."""


def _walked(folder: Path, parts: tuple[str, ...], reader: SystemUser | None) -> int:
    """The file, opened. `O_NONBLOCK`, so that a named pipe holds up nobody."""
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.readlink(f"/proc/self/fd/{here}") != str(folder):
            raise IsNotReaders("is not looked for: a link stands in the place of the folder")
        for part in parts[:-1]:
            there = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = there
            _check_reader(reader, may_enter, here)
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise IsNotAFile
        _check_reader(reader, may_read, file)
    except (IsNotAFile, IsNotReaders):
        os.close(file)
        raise
    return file


def _check_reader(reader: SystemUser | None, may: Callable[[os.stat_result, SystemUser], bool], opened: int) -> None:
    """Of processes the system says more to who asks than the mode of a file tells, so nobody is asked for there."""
    if reader is None:
        return
    found = os.fstat(opened)
    if not may(found, reader) or found.st_dev == os.stat("/proc").st_dev:
        raise IsNotReaders(f"is none that the user {reader.name} may read")


async def _content(file: FileIO) -> AsyncIterator[bytes]:
    while part := await asyncio.to_thread(file.read, READ_AT_ONCE):
        yield part


def _fault(name: str, path: str, what: str) -> ArtifactFault:
    return ArtifactFault(
        f"the file {path!r}, which `outputs.{name}` declares, {what} in the working directory",
        FailureKind.INVALID_OUTPUT,
    )
