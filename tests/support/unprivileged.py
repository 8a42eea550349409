"""A server that does not run as root, by tests that do: started as `nobody`, with a home of its own.

The interpreter, its packages and this project may lie below folders that are for root alone. Then the server gets a
view of the file system of its own (a mount namespace) in which such a folder is open and has nothing else in it.
"""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import millrace
from tests.support.server import MillraceProcess

UNPRIVILEGED = "nobody"

OPENED = """
set -e
view=$1 needed=$2 closed=$3; shift 3
mount -t tmpfs -o mode=755 tmpfs "$view"
for one in $needed; do mkdir -p "$view$one"; mount --rbind "$one" "$view$one"; done
for one in $closed; do mount -t tmpfs -o mode=755 tmpfs "$one"; done
for one in $needed; do mkdir -p "$one"; mount --rbind "$view$one" "$one"; done
exec "$@"
"""
"""A folder to keep things in meanwhile, what is needed, what is closed, and the command."""


@cache
def as_nobody() -> tuple[str, ...]:
    """What a command is started by to run as `nobody`. Skips the test, and says why, where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root starts a server as another user")
    for program in ("setpriv", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}, so no server is started as another user")
    become = ("setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={pwd.getpwnam(UNPRIVILEGED).pw_gid}", "--clear-groups")
    begun = (*_opening(), *become)
    tried = subprocess.run(
        [*begun, sys.executable, "-c", "import millrace.cli.main"], capture_output=True, text=True, cwd="/"
    )
    if tried.returncode:
        pytest.skip(f"{UNPRIVILEGED} cannot run this interpreter: {tried.stderr.strip()[-300:]}")
    return begun


def _opening() -> tuple[str, ...]:
    project = Path(__file__).parents[2]
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(millrace.__file__).parents[1], project}
    closed = {one.resolve(): _closed(one.resolve()) for one in wanted}
    needed = sorted(str(one) for one, by in closed.items() if by is not None)
    if not needed:
        return ()
    view = Path(tempfile.gettempdir(), "millrace-view")
    view.mkdir(exist_ok=True)
    tops = sorted({str(by) for by in closed.values() if by is not None})
    unshared = ("unshare", "--mount", "--propagation=private")
    return (*unshared, "sh", "-c", OPENED, "sh", str(view), " ".join(needed), " ".join(tops))


def _closed(place: Path) -> Path | None:
    """The first folder on the way that others may not enter."""
    return next((one for one in reversed(place.parents) if not one.stat().st_mode & stat.S_IXOTH), None)


@contextmanager
def home_of_nobody() -> Iterator[Path]:
    """A folder within one that others may enter, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory(prefix="unprivileged-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        shutil.chown(home, UNPRIVILEGED)
        yield home


def server_of_nobody(home: Path, **settings: str) -> MillraceProcess:
    unset = () if "MILLRACE_SHELL_USER" in settings else ("env", "-u", "MILLRACE_SHELL_USER")
    usual = {"HOME": str(home), "MILLRACE_APPLY_EXAMPLES": "false"}
    return MillraceProcess(home, started_by=(*as_nobody(), *unset), **{**usual, **settings})
