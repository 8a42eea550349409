"""How a command is started so that it is confined: by programs that set its limits, give up what it must not have, and
then become the command (`prlimit` and `setpriv`; without the first a shell with a fixed text).

A process cannot be given limits from outside without a moment in which it has none, and to change them or the user
between fork and exec would mean to copy the server's page tables for each command, which takes ten times as long as
both programs together (docs/decisions/0035).
"""

import errno
import os
import re
import resource
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from millrace.ports.confinement import ShellRules

SHELL = "/bin/sh"

LAST_SECONDS = 5
"""Between the signal that tells a command of the end of its CPU time, and the one that ends it."""

BLOCK = 512
"""Bytes in which a shell counts the size of files; of memory it is 1024."""

UMASK = 0o077

ENV = "/usr/bin/env"

STEERING = re.compile(
    r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|GETCONF_DIR|LOCPATH|MUSL_.*|NLSPATH|MALLOC_.*|LIB[A-Z]+_.*|TEXTDOMAIN.*"
    r"|LANG|LANGUAGE|LC_.*|OUTPUT_CHARSET|TZ|TZDIR|LOCALDOMAIN|HOSTALIASES|NIS_PATH|RES_OPTIONS|RESOLV_.*"
    r"|POSIXLY_CORRECT|ENV|BASH.*|SHELLOPTS|IFS|PS4|CDPATH|FPATH|KSH.*|ZDOTDIR|TMPDIR",
    re.ASCII | re.DOTALL,
)
"""Variables that steer any program, whatever it is: those that glibc takes from programs with more rights, and those
of shells. A task's own would steer the programs that confine it, which are root or have no limits yet."""


def launched(
    command: Sequence[str], rules: ShellRules, limits: Mapping[str, int], steering: Mapping[str, str]
) -> list[str]:
    """The command line that sets limits and gives up privileges before it becomes `command`, an absolute path first.

    `steering` are variables that the command alone is to have. Raises `ValueError` where it cannot be given them.
    """
    kept = {name: amount for name, amount in limits.items() if name != "processes" or rules.user is not None}
    limited = [SHELL, "-c", _text(kept), "sh"] if rules.prlimit is None else [rules.prlimit, *_options(kept), "--"]
    return [*limited, *_less(rules), *_given_last(steering, command[0]), *command]


def _given_last(steering: Mapping[str, str], program: str) -> list[str]:
    """A program that adds variables when all else is done. Others see them in its arguments: they are no secrets."""
    if not steering:
        return []
    if "=" in program:
        raise ValueError(f"its path holds a =, so it cannot be given the variable {next(iter(steering))}")
    return [ENV, *(f"{name}={value}" for name, value in steering.items())]


def may_gain_nothing(rules: ShellRules) -> bool:
    """Whether a command is kept from gaining privileges; who has named root to run commands as wants them."""
    return rules.setpriv is not None and (rules.user is not None or os.geteuid() != 0)


def _less(rules: ShellRules) -> list[str]:
    if rules.setpriv is None or not may_gain_nothing(rules):
        return []
    become = (
        [f"--reuid={rules.user.uid}", f"--regid={rules.user.gid}", "--clear-groups"] if rules.user is not None else []
    )
    return [rules.setpriv, *become, "--no-new-privs", "--"]


OPTIONS = {
    "cpu": ("cpu", resource.RLIMIT_CPU),
    "memory": ("data", resource.RLIMIT_DATA),
    "processes": ("nproc", resource.RLIMIT_NPROC),
    "file_size": ("fsize", resource.RLIMIT_FSIZE),
    "open_files": ("nofile", resource.RLIMIT_NOFILE),
}


def _options(limits: Mapping[str, int]) -> Iterator[str]:
    """A limit that is lower already stays as it is: it could not be raised."""
    yield "--core=0"
    for name, amount in limits.items():
        option, number = OPTIONS[name]
        hard = resource.getrlimit(number)[1]
        least = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        last = least + LAST_SECONDS if name == "cpu" and hard == resource.RLIM_INFINITY else least
        yield f"--{option}={least}:{last}"


def _text(limits: Mapping[str, int]) -> str:
    """The same for a shell; what it says of a limit that is lower already is no matter."""
    lines = ["ulimit -c 0"]
    if "cpu" in limits:
        lines += [f"ulimit -S -t {limits['cpu']}", f"ulimit -H -t {limits['cpu'] + LAST_SECONDS}"]
    if "memory" in limits:
        lines.append(f"ulimit -d {max(limits['memory'] // 1024, 1)}")
    if "file_size" in limits:
        lines.append(f"ulimit -f {max(limits['file_size'] // BLOCK, 1)}")
    if "open_files" in limits:
        lines.append(f"ulimit -n {limits['open_files']}")
    if "processes" in limits:
        # Shells do not agree on the letter.
        lines.append(f"ulimit -u {limits['processes']} || ulimit -p {limits['processes']}")
    return "{ " + "; ".join(lines) + '; } 2>/dev/null; exec "$@"'


def found_program(name: str, path: str, folder: Path) -> str:
    """The program that a command names, as it would be found when it is started in `folder`. Raises `OSError`."""
    if "/" in name:
        return _runnable(os.path.join(folder, name))
    fault: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for part in path.split(os.pathsep):
        try:
            return _runnable(os.path.join(folder, part, name))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            fault = error
    raise fault


def _runnable(program: str) -> str:
    if not stat.S_ISREG(os.stat(program).st_mode) or not os.access(program, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
    return program
