"""Commands that mean harm, or only forget, with real processes: what they use, what they see, what stays."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from millrace.config import Settings, SettingsError
from millrace.core.failures import FailureKind
from millrace.ports.artifacts import ArtifactFault
from millrace.ports.runner import RunnerServices
from millrace.runners.own_folders import entered
from millrace.runners.rules import refuse_unusable_user, rules_of
from millrace.runners.shell import ShellRunner
from tests.integration.runners.shell_kit import Log, Shell, is_gone, marked, runner, until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture
async def nobody() -> AsyncIterator[Shell]:
    """Where the worker is root and nothing is set."""
    shell = Shell(_runner(), Log(), {"MILLRACE_ATTEMPT": f"installation:{os.getpid()}:nobody"})
    yield shell
    await shell.runner.close()
    remove_what_was_moved()


def remove_what_was_moved() -> None:
    """A command may give its folder another name."""
    for folder in Path(tempfile.gettempdir()).glob(f"millrace-installation.{os.getpid()}.*"):
        shutil.rmtree(folder)


def _runner(**settings: Any) -> ShellRunner:
    services: Any = RunnerServices(None, None, (), None, rules_of(Settings(**settings)))  # type: ignore[arg-type]
    return ShellRunner(services)


# --- as whom ----------------------------------------------------------------------------------------------------------


@AS_ROOT
async def test_a_worker_that_is_root_runs_commands_as_nobody(nobody: Shell) -> None:
    who = pwd.getpwnam("nobody")
    seen = (await nobody.output("id -u; id -g; id -G; stat -c %u .; grep NoNewPrivs /proc/self/status"))["stdout"]
    assert seen.split() == [str(who.pw_uid), str(who.pw_gid), str(who.pw_gid), str(who.pw_uid), "NoNewPrivs:", "1"]


@AS_ROOT
async def test_it_cannot_see_what_the_server_has(
    nobody: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("hidden")
    for command in (
        ["cat", str(tmp_path / "key")],
        ["cat", f"/proc/{os.getpid()}/environ"],
        ["ls", f"/proc/{os.getpid()}/fd"],
    ):
        failed = await nobody.failure(command)
        assert "Permission denied" in failed.failure.message
    assert "Permission denied" in (await nobody.failure(["touch", "/etc/made"])).failure.message
    refused = await nobody.failure(["true"], working_dir=str(tmp_path))
    assert "the user nobody, whom commands run as, may not enter it" in refused.failure.message


@AS_ROOT
async def test_there_is_nobody_to_become() -> None:
    for name, told in (("no-such-user", "MILLRACE_SHELL_USER"), ("root", None)):
        rules = rules_of(Settings(shell_user=name))
        assert (rules.user, rules.user_fault is None) == (None, told is None)
    shell = Shell(_runner(shell_user="no-such-user"), Log(), {})
    failed = await shell.failure(["true"])
    assert failed.failure.kind is FailureKind.REFUSED
    assert "there is no user no-such-user" in failed.failure.message
    with pytest.raises(SettingsError, match="there is no user no-such-user to run commands as; name one in"):
        refuse_unusable_user(Settings(shell_user="no-such-user"))
    for fine in ({}, {"shell_user": "root"}, {"shell_user": "no-such-user", "shell_policy": "off"}):
        refuse_unusable_user(Settings(**fine))  # type: ignore[arg-type]


@AS_ROOT
async def test_without_the_programs_that_confine_it_is_confined_more_slowly(nobody: Shell) -> None:
    bare = replace(rules_of(Settings(shell_limits="cpu=9s,memory=1Gi,file_size=1Mi")), prlimit=None, setpriv=None)  # type: ignore[arg-type]
    services: Any = RunnerServices(None, None, (), None, bare)  # type: ignore[arg-type]
    nobody.runner = ShellRunner(services)
    seen = (await nobody.output("id -u; id -G; ulimit -S -t; ulimit -H -t; ulimit -c; ulimit -n; umask"))["stdout"]
    who = pwd.getpwnam("nobody")
    assert seen.split() == [str(who.pw_uid), str(who.pw_gid), "9", "14", "0", "1024", "0077"]
    await nobody.runner.close()


@contextmanager
def closed_folder() -> Iterator[Path]:
    """A folder that others may enter, in one that they may not, with a file that they might read."""
    with tempfile.TemporaryDirectory() as closed:
        inner = Path(closed, "inner")
        inner.mkdir(mode=0o755)
        inner.joinpath("file").write_text("hidden")
        inner.joinpath("file").chmod(0o644)
        yield inner


@contextmanager
def open_folder(mode: int = 0o755) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(mode)
        yield Path(place)


@AS_ROOT
async def test_a_folder_within_one_that_it_may_not_enter_is_closed_too(nobody: Shell) -> None:
    """The worker is root, so it could begin there; from within, the folders around would keep nothing from it."""
    with closed_folder() as inner:
        refused = await nobody.failure(["cat", "file"], working_dir=str(inner))
        assert "the user nobody, whom commands run as, may not enter it" in refused.failure.message
        os.chmod(inner.parent, 0o711)  # noqa: S103 - so that it may be entered
        assert (await nobody.output(["cat", "file"], working_dir=str(inner)))["stdout"] == "hidden"


@AS_ROOT
async def test_a_folder_that_becomes_another_while_it_is_looked_at_is_not_entered(
    nobody: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_folder() as inner, open_folder() as place:
        os.makedirs(wanted := place / "wanted" / inner.name)

        def swapped(*where: Any) -> Any:
            os.rename(place / "wanted", place / "away")
            os.symlink(inner.parent, place / "wanted")
            return entered(*where)

        monkeypatch.setattr("millrace.runners.commands.entered", swapped)
        failed = await nobody.failure(["/bin/cat", "file"], working_dir=str(wanted))
        assert "cat cannot be started" in failed.failure.message


# --- what it inherits -------------------------------------------------------------------------------------------------


async def test_no_file_of_the_server_is_inherited(shell: Shell, tmp_path: Path) -> None:
    with open(tmp_path / "open", "w") as file:  # noqa: ASYNC230
        os.set_inheritable(file.fileno(), True)
        seen = (await shell.output(["ls", "/proc/self/fd"]))["stdout"]
    assert seen.split() == ["0", "1", "2", "3"], "the last is the folder that is listed"


@pytest.mark.parametrize("bare", [False, True], ids=["by programs", "by a shell"])
async def test_what_confines_it_is_not_steered_by_its_variables(shell: Shell, bare: bool) -> None:
    """A library of `LD_PRELOAD` would run in programs that are root, or have no limits yet."""
    if bare:
        rules = replace(rules_of(Settings(shell_user=getuser())), prlimit=None)
        services: Any = RunnerServices(None, None, (), None, rules)  # type: ignore[arg-type]
        shell.runner = ShellRunner(services)
    env = {"LD_DEBUG": "files", "LC_ALL": "C", "SHELLOPTS": "xtrace", "PS4": "told ", "TMPDIR": "/own", "OTHER": "1"}
    output = await shell.output(["printenv", *env], env=env)
    told = output["stderr"]
    assert output["stdout"].splitlines()[-len(env) :] == list(env.values()), "it has them itself"
    for program in ("prlimit", "setpriv", "ulimit"):
        assert program not in told


@AS_ROOT
async def test_no_variable_of_a_command_reaches_a_program_that_is_root(nobody: Shell) -> None:
    with open_folder(0o777) as place:
        await nobody.output(["true"], env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": f"{place}/told"})
        assert {os.stat(place / name).st_uid for name in os.listdir(place)} <= {pwd.getpwnam("nobody").pw_uid}


async def test_no_core_is_left(shell: Shell, tmp_path: Path) -> None:
    assert (await shell.output("ulimit -S -c; ulimit -H -c"))["stdout"].split() == ["0", "0"]


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "command", "told"),
    [
        ({"cpu": "1s"}, "while :; do :; done", "used more than its 1 s of CPU time"),
        ({"cpu": "1s"}, "sh -c 'while :; do :; done'", "used more than its 1 s of CPU time"),
        ({"memory": "64Mi"}, ["python3", "-c", "x = bytearray(300_000_000)"], "ran out of its 64Mi of memory"),
        ({"file_size": "4Ki"}, "head -c 9999 /dev/zero > large", "wanted to write a file larger than 4Ki"),
        ({"open_files": 32}, ["python3", "-c", "f = [open('/dev/null') for _ in range(40)]"], "more than 32 files"),
    ],
)
async def test_the_failure_says_which_limit_was_reached(
    shell: Shell, limits: dict[str, Any], command: str | list[str], told: str
) -> None:
    failed = await shell.failure(command, limits=limits)
    assert told in failed.failure.message
    assert f"limits.{next(iter(limits))}" in failed.failure.message


async def test_a_task_may_only_ask_for_less(shell: Shell) -> None:
    shell.runner = runner(shell_limits="memory=1Gi")
    assert (await shell.output("ulimit -d", limits={"memory": "512Mi"}))["result"] == 512 * 1024
    assert (await shell.output("ulimit -d"))["result"] == 1024 * 1024
    failed = await shell.failure("true", limits={"memory": "2Gi"})
    assert failed.failure.kind is FailureKind.REFUSED
    assert failed.failure.message.startswith("limits.memory is 2Gi, and MILLRACE_SHELL_LIMITS allows at most 1Gi")


@AS_ROOT
async def test_a_fork_bomb_comes_to_its_limit_and_ends_with_its_attempt(nobody: Shell) -> None:
    bomb = asyncio.create_task(nobody.outcome("f() { f & f & sleep 60; }; f; sleep 60", limits={"processes": 40}))
    await nobody.log.until(lambda lines: any("fork" in line for line in lines))
    assert len(marked(nobody.environment["MILLRACE_ATTEMPT"])) <= 45
    await nobody.cancelled(bomb)
    assert marked(nobody.environment["MILLRACE_ATTEMPT"]) == []


# --- what it leaves behind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "escape",
    [
        "setsid sh -c 'echo $$ > {pid}; exec sleep 600' & while ! test -s {pid}; do :; done",
        "(setsid sh -c '(setsid sh -c \"echo \\$\\$ > {pid}; exec sleep 600\" &)' &); "
        "while ! test -s {pid}; do :; done",
    ],
    ids=["a session of its own", "twice, and orphaned"],
)
@pytest.mark.parametrize("ended", ["by itself", "cancelled"])
async def test_who_leaves_the_group_ends_with_the_attempt(
    shell: Shell, tmp_path: Path, escape: str, ended: str
) -> None:
    noted = tmp_path / "pid"
    command = escape.format(pid=noted) + ("" if ended == "by itself" else "; exec sleep 600")
    task = asyncio.create_task(shell.outcome(command))
    await until(lambda: noted.exists() and noted.read_text().endswith("\n"))
    pid = int(noted.read_text())
    await (task if ended == "by itself" else shell.cancelled(task))
    assert is_gone(pid)


LEAVES = "setsid env {env} /bin/sh -c 'echo $$ > pid; exec /bin/sleep 600' & while ! test -s pid; do :; done; cat pid"


@AS_ROOT
@pytest.mark.parametrize("env", ["-i", "MILLRACE_ATTEMPT=another", "MILLRACE_ATTEMPT="])
async def test_who_has_taken_its_mark_off_ends_as_well(nobody: Shell, env: str) -> None:
    output = await nobody.output(LEAVES.format(env=env))
    assert is_gone(int(output["stdout"]))


@AS_ROOT
async def test_who_has_forged_its_mark_ends_although_others_run(nobody: Shell) -> None:
    other = Shell(nobody.runner, Log(), {"MILLRACE_ATTEMPT": f"installation:{os.getpid()}:other"})
    task = asyncio.create_task(other.outcome("echo begun; exec sleep 600"))
    await other.log.until(lambda lines: "begun" in lines)
    output = await nobody.output(LEAVES.format(env="MILLRACE_ATTEMPT=another"))
    assert is_gone(int(output["stdout"]))
    assert not task.done()
    await other.cancelled(task)


@AS_ROOT
async def test_who_has_a_lower_number_than_its_command_ends_as_well(nobody: Shell) -> None:
    """As after so many processes that numbers began anew; here the later of two commands finds what the other left."""
    first = asyncio.create_task(nobody.outcome("(setsid env -i /bin/sleep 600 &); echo begun; exec sleep 600"))
    await nobody.log.until(lambda lines: "begun" in lines)
    other = Shell(nobody.runner, Log(), {"MILLRACE_ATTEMPT": f"installation:{os.getpid()}:other"})
    last = asyncio.create_task(other.outcome("echo begun; exec sleep 600"))
    await other.log.until(lambda lines: "begun" in lines)
    await nobody.cancelled(first)
    assert children_in_other_sessions() != []
    await other.cancelled(last)
    assert children_in_other_sessions() == []


def children_in_other_sessions() -> list[int]:
    """Those of this process that sleep."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and Path(f"/proc/{name}/comm").read_text() == "sleep\n":
                found.append(int(name))
    return found


async def test_what_belongs_to_another_command_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    other = Shell(shell.runner, Log(), {"MILLRACE_ATTEMPT": f"installation:{os.getpid()}:other"})
    busy = f"(setsid sh -c 'echo $$ > {noted}; exec sleep 600' &); exec sleep 600"
    task = asyncio.create_task(other.outcome(busy))
    await until(lambda: noted.exists() and noted.read_text().endswith("\n"))
    pid = int(noted.read_text())
    for _ in range(3):
        await shell.output("(setsid sleep 600 &) ; true")
    assert not is_gone(pid)
    assert not task.done()
    await other.cancelled(task)
    assert is_gone(pid)


# --- only what is listed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "env", "told"),
    [
        ("cat", {}, "a command written as text is read by /bin/sh"),
        (["sh", "-c", "true"], {}, "sh is no program that MILLRACE_SHELL_ALLOWED names"),
        (["./cat"], {}, "./cat is no program"),
        (["/usr/bin/../bin/env", "true"], {}, "env is no program"),
        (["no-such-program"], {}, "no-such-program is no program"),
        (["cat"], {"LD_PRELOAD": "inputs/own.so"}, "the variable LD_PRELOAD"),
        (["cat"], {"PATH": "/elsewhere"}, "the variable PATH"),
        (["cat"], {"GIT_SSH_COMMAND": "x"}, "the variable GIT_SSH_COMMAND"),
        (["cat"], {"RSYNC_RSH": "sh -c x"}, "the variable RSYNC_RSH"),
        (["cat"], {"TAR_OPTIONS": "--to-command=x"}, "the variable TAR_OPTIONS"),
        (["cat"], {"OPENSSL_CONF": "inputs/own.cnf"}, "the variable OPENSSL_CONF"),
        (["cat"], {"HOME": "inputs"}, "the variable HOME"),
        (["cat"], {"CARGO_HOME": "inputs"}, "the variable CARGO_HOME"),
        (["cat"], {"npm_config_prefix": "inputs"}, "the variable npm_config_prefix"),
        (["cat"], {"MANPAGER": "x"}, "the variable MANPAGER"),
    ],
)
async def test_only_listed_programs_run(shell: Shell, command: Any, env: dict[str, str], told: str) -> None:
    shell.runner = runner(shell_policy="allow-listed", shell_allowed="cat")
    failed = await shell.failure(command, env=env)
    assert failed.failure.kind is FailureKind.REFUSED
    assert told in failed.failure.message
    assert "MILLRACE_SHELL_" in failed.failure.message


async def test_a_listed_program_runs_by_its_name_and_its_path(shell: Shell) -> None:
    shell.runner = runner(shell_policy="allow-listed", shell_allowed="cat,/bin/sh")
    for program in ("cat", "/bin/cat", "/usr/bin/cat"):
        assert (await shell.output([program], stdin="x", env={"OWN": "1"}))["stdout"] == "x"
    assert (await shell.output("echo text"))["stdout"] == "text\n"


async def test_a_program_of_the_same_file_is_another_one(shell: Shell, tmp_path: Path) -> None:
    """As with busybox, which does what the name says that it was called by."""
    (tmp_path / "one").symlink_to("/bin/sh")
    (tmp_path / "two").symlink_to("/bin/sh")
    shell.runner = runner(shell_policy="allow-listed", shell_allowed=str(tmp_path / "one"))
    assert (await shell.output([str(tmp_path / "one"), "-c", "echo ran"]))["stdout"] == "ran\n"
    assert (await shell.failure([str(tmp_path / "two"), "-c", "echo ran"])).failure.kind is FailureKind.REFUSED


@contextmanager
def a_secret() -> Iterator[str]:
    """A folder that all may enter, with a file that only its owner may read."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "secret").write_text("hidden")
        Path(place, "secret").chmod(0o600)
        Path(place).chmod(0o755)
        yield place


# --- files of others --------------------------------------------------------------------------------------------------


@AS_ROOT
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("mv $HOME $HOME.away && ln -s {place} $HOME", "is a link, or reached through one"),
        ("ln {place}/secret secret", "is none that the user nobody may read"),
        ("ln -s {place}/secret secret", "is a link, or reached through one"),
    ],
    ids=["a link in place of the folder", "another name of a file", "a link"],
)
async def test_no_file_is_read_for_a_command_that_it_may_not_read(nobody: Shell, command: str, told: str) -> None:
    """The worker is root and would be able to."""
    with a_secret() as place:
        with pytest.raises(ArtifactFault) as fault:
            await nobody.outcome(f"{command.format(place=place)}; true", outputs={"out": "secret"})
        # Where hard links to what is another's are forbidden, there is none.
        assert any(words in str(fault.value) for words in (told, "is not there"))


@AS_ROOT
@pytest.mark.parametrize("file", ["maps", "environ", "net/tcp"])
async def test_nothing_of_a_process_is_read_for_a_command(nobody: Shell, file: str) -> None:
    """By its mode all may read the memory map of the worker; the system shows it to the worker itself alone."""
    with pytest.raises(ArtifactFault, match="is none that the user nobody may read"):
        await nobody.outcome(["true"], working_dir="/proc/self", outputs={"out": file})
