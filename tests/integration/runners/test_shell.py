"""The task type `shell` with real processes: what goes in, what comes out and when, and what is forbidden."""

import asyncio
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from millrace.core.failures import FailureKind
from millrace.ports.runner import NO_SECRETS
from millrace.runners import processes
from millrace.runners.shell import ShellConfig
from millrace.runners.streams import Stream
from tests.integration.runners.shell_kit import Shell, runner

# --- what comes out ---------------------------------------------------------------------------------------------------


async def test_a_command_of_text_goes_to_the_shell(shell: Shell) -> None:
    output = await shell.output('echo one; echo two >&2; echo "{\\"n\\": 1}"')
    assert output == {
        "exit_code": 0,
        "stdout": 'one\n{"n": 1}\n',
        "stderr": "two\n",
        "truncated": False,
        "result": {"n": 1},
    }
    assert sorted(shell.log.lines) == [("info", "one"), ("info", '{"n": 1}'), ("warning", "two")]


async def test_a_list_is_a_program_and_its_arguments_that_no_shell_reads(shell: Shell) -> None:
    output = await shell.output(["printf", "%s|", "a b", "$HOME", "; exit 3", "*", ""])
    assert output["stdout"] == "a b|$HOME|; exit 3|*||"


async def test_arguments_that_are_not_text_become_json(shell: Shell) -> None:
    output = await shell.output(["printf", "%s|", "a", 5, True, None, ["x"]])  # type: ignore[list-item]
    assert output["stdout"] == 'a|5|true||["x"]|'


async def test_lines_are_logged_while_the_command_runs(shell: Shell) -> None:
    task = asyncio.create_task(shell.output("echo first; read answer; echo $answer; exec sleep 60"))
    await shell.log.until(lambda lines: lines == ["first", ""])
    assert not task.done()
    await shell.cancelled(task)


async def test_the_order_of_lines_is_kept(shell: Shell) -> None:
    await shell.output(["seq", "1", "20000"])
    assert shell.log.texts == [str(number) for number in range(1, 20001)]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ('{"a": 1}\n\n\n', {"a": 1}),
        ('{"first": 1}\n{"second": 2}\n', {"second": 2}),
        ('{"a": 1}\ndone\n', {"a": 1}),
        ("  [1]  \r\n", [1]),
        ("3\n", 3),
        ("null\n", None),
        ("done\n", None),
        ("", None),
        ("{'a': 1}\n", None),
        ("NaN\n", None),
    ],
)
async def test_the_result_is_the_last_line_that_is_json(shell: Shell, text: str, result: Any) -> None:
    output = await shell.output(["printf", "%s", text])
    assert output["result"] == result
    assert output["stdout"] == text


async def test_a_result_that_could_not_be_stored_is_none(shell: Shell) -> None:
    assert (await shell.output(["echo", '"a\\u0000b"']))["result"] is None
    assert (await shell.output(["echo", "123456789012345678901234567890"]))["result"] is None


async def test_a_result_longer_than_the_kept_output_is_read_as_a_whole(shell: Shell) -> None:
    output = await shell.output([sys.executable, "-c", "print('x'); print('[' + '1,' * 100_000 + '2]')"])
    assert output["result"] == [1] * 100_000 + [2]
    assert output["truncated"]
    assert len(output["stdout"]) == 65536


async def test_the_end_of_a_cut_line_is_no_result(shell: Shell) -> None:
    """Its last characters look like a number."""
    output = await shell.output([sys.executable, "-c", "print('x' + ' ' * 3_000_000 + '12345', end='')"], max_output=5)
    assert output["stdout"] == "12345"
    assert output["result"] is None
    assert sum(map(len, shell.log.texts)) == 3_000_006


async def test_the_end_of_large_output_is_kept(shell: Shell) -> None:
    output = await shell.output("seq 1 2000000; seq 1 3 >&2", max_output=100)
    assert output["truncated"]
    assert len(output["stdout"]) == 100
    assert output["stdout"].endswith("1999999\n2000000\n")
    assert output["stderr"] == "1\n2\n3\n"
    assert output["result"] == 2_000_000


@pytest.mark.parametrize("raw", [b"x" * 16_384, b"line\r\n" * 2_000], ids=["endless line", "lines"])
def test_memory_is_bounded_whatever_comes(raw: bytes) -> None:
    stream = Stream(lambda *_, **__: None, "info", 1_000, NO_SECRETS)
    tracemalloc.start()
    for _ in range(1_000):
        stream.feed(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6_000_000


async def test_a_busy_command_leaves_the_loop_to_others(shell: Shell) -> None:
    turns = 0
    task = asyncio.create_task(shell.outcome("head -c 2000000 /dev/zero | tr '\\0' '\\n'"))
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 2_000_000 / processes.READ_AT_ONCE
    assert len(shell.log.lines) == 2_000_000


async def test_a_long_line_is_split_and_nothing_of_it_lost(shell: Shell) -> None:
    await shell.output([sys.executable, "-c", "print('a' * 40_000 + 'b'); print('short')"])
    assert list(map(len, shell.log.texts)) == [16384, 16384, 40_001 - 2 * 16384, 5]
    assert "".join(shell.log.texts) == "a" * 40_000 + "b" + "short"


async def test_a_long_line_without_an_end_is_logged_while_it_comes(shell: Shell) -> None:
    task = asyncio.create_task(shell.output("head -c 20000 /dev/zero | tr '\\0' x; exec sleep 60"))
    await shell.log.until(lambda lines: lines == ["x" * 16384])
    await shell.cancelled(task)
    assert "".join(shell.log.texts) == "x" * 20_000


async def test_bytes_that_are_no_text_are_replaced(shell: Shell) -> None:
    output = await shell.output("printf 'a\\000b\\377c\\303'; printf '\\303\\274\\n' >&2")
    assert output["stdout"] == "a\ufffdb\ufffdc\ufffd"
    assert output["stderr"] == "ü\n"
    assert ("info", "a\ufffdb\ufffdc\ufffd") in shell.log.lines


async def test_the_line_ends_of_other_systems_are_no_part_of_a_line(shell: Shell) -> None:
    output = await shell.output(["printf", "a\\r\\nb\\rc\\r\\n"])
    assert shell.log.texts == ["a", "b\rc"]
    assert output["stdout"] == "a\r\nb\rc\r\n"


async def test_a_character_may_come_in_two_parts(shell: Shell) -> None:
    program = "import os,time; os.write(1, b'\\xc3'); time.sleep(0.05); os.write(1, b'\\xbc\\n')"
    assert (await shell.output([sys.executable, "-c", program]))["stdout"] == "ü\n"


# --- what goes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"), [("text\n", "text\n"), ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'), (None, ""), ("", ""), (0, "0")]
)
async def test_stdin_is_text_or_json(shell: Shell, given: Any, read: str) -> None:
    assert (await shell.output(["cat"], stdin=given))["stdout"] == read


async def test_large_stdin_goes_through_while_output_is_read(shell: Shell) -> None:
    output = await shell.output("tr a b | wc -c", stdin="a" * 3_000_000)
    assert output["result"] == 3_000_000


@pytest.mark.parametrize("command", ["true", "exec <&-; echo 1", "head -c 1 >/dev/null"])
async def test_a_command_need_not_read_its_stdin(shell: Shell, command: str) -> None:
    assert (await shell.output(command, stdin="a" * 3_000_000))["exit_code"] == 0


async def test_the_environment_is_small_and_holds_nothing_of_the_server(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MILLRACE_SECRET_TOKEN", "MILLRACE_API_KEY", "DATABASE_URL", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("LC_MEASUREMENT", "C")
    output = await shell.output(["env"], env={"OWN": "ü =", "NUMBER": 1, "LIST": [1, {"a": None}], "NONE": None})
    seen = dict(line.split("=", 1) for line in output["stdout"].splitlines())
    own = {name: seen.pop(name) for name in ("OWN", "NUMBER", "LIST", "LC_MEASUREMENT")}
    assert own == {"OWN": "ü =", "NUMBER": "1", "LIST": '[1,{"a":null}]', "LC_MEASUREMENT": "C"}
    assert seen.pop("MILLRACE_ATTEMPT") == shell.environment["MILLRACE_ATTEMPT"]
    kept = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
    assert {name for name in seen if not name.startswith("LC_")} <= kept
    assert "hidden" not in output["stdout"]


async def test_a_command_cannot_take_the_mark_of_its_attempt_off(shell: Shell) -> None:
    output = await shell.output("echo $MILLRACE_ATTEMPT", env={"MILLRACE_ATTEMPT": "another"})
    assert output["stdout"].strip() == shell.environment["MILLRACE_ATTEMPT"]


async def test_the_path_for_the_program_is_the_commands_own(shell: Shell, tmp_path: Path) -> None:
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert (await shell.output("only-here", env={"PATH": str(tmp_path)}))["stdout"] == "found\n"
    assert (await shell.output(["only-here"], env={"PATH": str(tmp_path)}))["stdout"] == "found\n"


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_another_exit_code_is_a_failure_with_the_last_line(shell: Shell) -> None:
    failed = await shell.failure("echo out; echo reason >&2; exit 3")
    assert failed.failure.kind is FailureKind.ERROR
    assert failed.failure.message == "the command ended with exit code 3: reason"
    assert failed.failure.details == {"exit_code": 3, "stdout": "out\n", "stderr": "reason\n", "truncated": False}


async def test_exit_codes_may_be_expected(shell: Shell) -> None:
    assert (await shell.output("exit 3", expected_exit_codes=[0, 3]))["exit_code"] == 3
    failed = await shell.failure("exit 0", expected_exit_codes=[3])
    assert failed.failure.message == "the command ended with exit code 0"


async def test_a_command_that_a_signal_ended_says_so(shell: Shell) -> None:
    failed = await shell.failure("kill -KILL $$")
    assert failed.failure.message == "the command was ended by signal 9 (SIGKILL)"


async def test_an_unknown_program_is_named(shell: Shell) -> None:
    failed = await shell.failure(["no-such-program", "x"])
    assert failed.failure.message == "no-such-program cannot be started: No such file or directory"
    assert "no-such-program" in (await shell.failure("no-such-program")).failure.message


async def test_a_program_that_cannot_be_started_is_a_failure(shell: Shell, tmp_path: Path) -> None:
    folder = await shell.failure([str(tmp_path)])
    assert "cannot be started: Permission denied" in folder.failure.message
    large = await shell.failure(["true", "x" * 3_000_000])
    assert large.failure.message == "true cannot be started: Argument list too long"
    assert len((await shell.failure(["x" * 300_000])).failure.message) < 300


async def test_text_that_the_system_cannot_be_given_is_a_failure(shell: Shell) -> None:
    folder = await shell.failure("pwd", working_dir="a\0b")
    assert folder.failure.message == "the working directory 'a\\x00b' cannot be used: embedded null byte"
    assert "cannot be started" in (await shell.failure(["true"], env={"A": "\ud800"})).failure.message


@pytest.mark.parametrize("command", ["", "  \n", [], [""], "a\0b", ["a", "b\0"]])
def test_a_config_without_a_command_is_refused(command: Any) -> None:
    with pytest.raises(ValueError, match="command"):
        ShellConfig(command=command)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="environment variable"):
        ShellConfig(command="true", env={name: "x"})


# --- rules of the installation ----------------------------------------------------------------------------------------


async def test_switched_off_it_refuses_and_names_the_setting(shell: Shell, tmp_path: Path) -> None:
    shell.runner = runner(shell_policy="off")
    failed = await shell.failure(["touch", str(tmp_path / "made")])
    assert failed.failure.kind is FailureKind.REFUSED
    assert "MILLRACE_SHELL_POLICY=on" in failed.failure.message
    assert not (tmp_path / "made").exists()


async def test_confined_it_runs_in_allowed_folders_only(shell: Shell, tmp_path: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "allowed-not"
    inside = allowed / "inside"
    inside.mkdir(parents=True)
    outside.mkdir()
    (allowed / "link").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    shell.runner = runner(shell_allowed_dirs=(allowed,))

    async def where(**config: Any) -> str:
        return str((await shell.output("pwd", **config))["stdout"].strip())

    assert await where(working_dir=".") == str(allowed)
    assert await where(working_dir="inside") == str(inside)
    assert await where(working_dir=str(outside / "back")) == str(inside)
    for forbidden in (outside, allowed / "link", allowed / "..", "../allowed-not", "/", "~"):
        failed = await shell.failure("pwd", working_dir=str(forbidden))
        assert failed.failure.kind is FailureKind.REFUSED
        assert "MILLRACE_SHELL_ALLOWED_DIRS" in failed.failure.message


async def test_unconfined_it_runs_where_it_is_told(shell: Shell, tmp_path: Path) -> None:
    assert (await shell.output("pwd", working_dir=str(tmp_path)))["stdout"].strip() == str(tmp_path)
    assert (await shell.output("pwd", working_dir="."))["stdout"].strip() == os.getcwd()


async def test_a_command_that_names_no_folder_has_an_empty_one_of_its_own(shell: Shell) -> None:
    command = 'pwd; ls -A; stat -c %a .; touch made; stat -c %a made; test "$HOME$TMPDIR" = "$PWD$PWD"'
    seen = [(await shell.output(command))["stdout"].split("\n") for _ in range(3)]
    assert [rest for _, *rest in seen] == [["700", "600", ""]] * 3
    await shell.output("mkdir -p deep/er; touch deep/er/file; chmod 0 deep")
    await shell.output("chmod 777 .")
    await shell.runner.close()
    here = os.listdir(tempfile.gettempdir())
    assert not [folder for folder, *_ in seen if os.path.basename(folder) in here]
    assert not [name for name in here if name.startswith(f"millrace-installation.{os.getpid()}.")]


async def test_a_folder_that_is_none_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    missing = await shell.failure("pwd", working_dir=str(tmp_path / "missing"))
    assert (
        missing.failure.message == f"the working directory {tmp_path}/missing cannot be used: No such file or directory"
    )
    file = await shell.failure("pwd", working_dir=str(tmp_path / "file"))
    assert file.failure.message == f"the working directory {tmp_path}/file cannot be used: Not a directory"
