"""Files that a command is to find: artifacts, copied into the attempt's own folder before it starts.

They lie in a folder beside whatever else the command writes, under names that cannot lead out of it; the folder goes
when the attempt does. A command may change its copies, and nobody else sees that.
"""

import asyncio
import os
from collections.abc import Mapping
from io import BufferedWriter
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from millrace.core.failures import FailureKind
from millrace.core.values import JsonValue
from millrace.ports.artifacts import ArtifactFault, OpenArtifact
from millrace.ports.confinement import SystemUser
from millrace.ports.runner import RunnerContext
from millrace.runners.own_folders import hand_over, opened, uid_of

INPUTS = "MILLRACE_INPUTS"
FOLDER = "inputs"
MOST_FILES = 100
LONGEST_NAME = 255
"""Bytes; file systems take no more."""


def _file_name(name: str) -> str:
    fits = 0 < len(name.encode(errors="replace")) <= LONGEST_NAME and name not in (".", "..")
    if not fits or "/" in name or not name.isprintable():
        raise ValueError(
            f"{name[:100]!r} cannot be the name of a file; write one without folders, such as orders.csv, "
            f"of at most {LONGEST_NAME} bytes"
        )
    return name


FileName: TypeAlias = Annotated[
    str,
    AfterValidator(_file_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": "^[^/]+$"}),
]
InputFiles: TypeAlias = Annotated[
    dict[FileName, Any],
    Field(
        max_length=MOST_FILES,
        description="Artifacts that the command finds as files, by file name, such as "
        '{orders.csv: "{{ tasks.fetch.output.file }}"}: copies in the folder that the variable '
        f"{INPUTS} names, which is removed at the end of the attempt. Together they may be as large as "
        "MILLRACE_MAX_ARTIFACT_BYTES says of one.",
    ),
]


async def put_files(
    inputs: Mapping[str, JsonValue], folder: Path, context: RunnerContext, owner: SystemUser | None = None
) -> Path:
    """Copy the artifacts into a new folder below `folder`, and answer that. `owner` is whom the command runs as.

    Raises `ArtifactFault`, which names the file: `invalid_input` when there is no such artifact or they are too large
    together, `error` when one is damaged or there is no room.
    """
    place = folder / FOLDER
    try:
        with opened(folder, uid_of(owner)) as own:
            os.mkdir(FOLDER, 0o700, dir_fd=own)
            # It is ours until all is in it: others cannot come between.
            with opened(FOLDER, os.geteuid(), own) as into:
                await _put_all(inputs, into, context, owner)
                hand_over(into, owner)
    except OSError as error:
        raise ArtifactFault(f"no files can be put into {place}: {error.strerror}") from None
    return place


async def _put_all(
    inputs: Mapping[str, JsonValue], into: int, context: RunnerContext, owner: SystemUser | None
) -> None:
    left = context.artifacts.largest
    for name, reference in inputs.items():
        try:
            async with context.artifacts.open(reference) as file:
                left -= file.size
                if left < 0:
                    raise _too_large(context.artifacts.largest)
                await _copy(file, name, into, owner)
        except ArtifactFault as fault:
            raise ArtifactFault(f"the file inputs[{name!r}] cannot be handed over: {fault}", fault.kind) from fault


async def _copy(file: OpenArtifact, name: str, into: int, owner: SystemUser | None) -> None:
    try:
        with new_file(name, into) as copy:
            async for part in file.parts:
                await asyncio.to_thread(copy.write, part)
            await asyncio.to_thread(copy.flush)
            hand_over(copy.fileno(), owner)
    except OSError as error:
        raise ArtifactFault(f"it cannot be written: {error.strerror}") from None


def new_file(name: str, within: int) -> BufferedWriter:
    """Buffered, since closing it waits for a thread that still writes when the attempt is ended."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(name, flags, 0o600, dir_fd=within), "wb")


def _too_large(most: int) -> ArtifactFault:
    return ArtifactFault(
        f"all of them together have more than {most} bytes; the setting MILLRACE_MAX_ARTIFACT_BYTES says how much",
        FailureKind.INVALID_INPUT,
    )
