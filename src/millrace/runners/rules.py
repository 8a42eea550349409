"""What the settings of shell and script tasks come to on this machine. Settled once, when a worker starts."""

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from millrace.config import Settings, SettingsError
from millrace.ports.confinement import ShellPolicy, ShellRules, SystemUser
from millrace.runners.own_folders import may_enter, may_read, place_of_folders, reaches

NOBODY = "nobody"
ROOT = "root"
SYSTEM_PATH = "/usr/bin:/bin"


def rules_of(settings: Settings) -> ShellRules:
    user, fault = _user(settings.shell_user)
    folders = tuple(folder.resolve() for folder in settings.shell_allowed_dirs)
    if user is not None and not reaches(user, place := place_of_folders(folders)):
        fault = (
            f"the user {user.name}, whom commands run as, may not enter {place}, where their folders are made; "
            "let the first of MILLRACE_SHELL_ALLOWED_DIRS, or without it TMPDIR of the worker, be one that he may"
        )
    programs = (program_at(name, settings.shell_path) for name in settings.shell_allowed)
    return ShellRules(
        path=settings.shell_path,
        policy=ShellPolicy(settings.shell_policy),
        programs=frozenset(program for program in programs if program is not None),
        folders=folders,
        user=user,
        user_fault=fault,
        limits=settings.shell_limits,
        prlimit=shutil.which("prlimit", path=SYSTEM_PATH),
        setpriv=shutil.which("setpriv", path=SYSTEM_PATH),
        exposed=() if user is None else tuple(_exposed(user, settings)),
    )


def refuse_unusable_user(settings: Settings) -> None:
    """Before a worker starts. Raises `SettingsError` where a user is named that commands cannot run as.

    Without a name each command is refused by itself: most installations have none.
    """
    if settings.shell_user is None or settings.shell_policy == "off":
        return
    _, fault = _user(settings.shell_user)
    if fault is not None:
        raise SettingsError(f"MILLRACE_SHELL_USER: {fault}; docs/how-to/confine-shell.md says more")


def program_at(name: str, path: str) -> Path | None:
    """The program of this name or absolute path, by the folder that it really is in; `None` if there is none.

    A link at the end is not followed: programs such as busybox do what the name says that they were called by.
    """
    found = shutil.which(name, path=path)
    return None if found is None else place_of(found)


def place_of(program: str) -> Path:
    return Path(os.path.realpath(os.path.dirname(program)), os.path.basename(program))


def _exposed(user: SystemUser, settings: Settings) -> Iterator[Path]:
    """The home folder, the database, the keys and the files, as far as they are there and the user comes to them."""
    keys = [settings.encryption_key_file, settings.tls_key, settings.secrets_dir]
    for place in dict.fromkeys([settings.home, settings.database_path, *keys, settings.artifacts_dir]):
        if place is not None and place.exists() and reaches(user, place.parent):
            found = place.stat()
            if may_read(found, user) or (place.is_dir() and may_enter(found, user)):
                yield place


def _user(wanted: str | None) -> tuple[SystemUser | None, str | None]:
    """Whom to become for a command, if anybody, and why that cannot be."""
    if os.geteuid() != 0:
        own = _name_of(os.geteuid())
        if wanted not in (None, own):
            return None, (
                f"MILLRACE_SHELL_USER names {wanted}, and a worker that runs as {own} can become nobody else; "
                "run it as root, or leave the setting out"
            )
        return None, None
    if wanted == ROOT:
        return None, None
    try:
        found = pwd.getpwnam(wanted or NOBODY)
    except KeyError:
        return None, (
            f"this worker runs as root, and there is no user {wanted or NOBODY} to run commands as; "
            "name one in MILLRACE_SHELL_USER (root only if every author may do everything on this machine)"
        )
    if found.pw_uid == 0:
        return None, f"{found.pw_name} is another name of root; write MILLRACE_SHELL_USER=root if that is meant"
    return SystemUser(found.pw_name, found.pw_uid, found.pw_gid), None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
