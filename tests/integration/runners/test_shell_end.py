"""How commands of the task type `shell` end: by themselves, when asked, when killed. Nothing is left of them."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from millrace.runners import processes
from tests.integration.runners.shell_kit import Shell, gone, is_gone, marked, runs, until, zombies


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves open files or zombies behind."""
    before, buried_by_others = set(os.listdir("/proc/self/fd")), zombies()
    yield
    # The loop of the test may still hold a few.
    assert len(set(os.listdir("/proc/self/fd")) - before) < 30
    assert set(zombies()) <= set(buried_by_others)


@pytest.fixture
def much_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much that what takes less has ended by itself, however busy the machine is."""
    monkeypatch.setattr(processes, "GRACE", 60.0)


@pytest.mark.usefixtures("much_grace")
async def test_cancelling_ends_the_whole_group_and_hears_its_last_words(shell: Shell) -> None:
    command = "trap 'seq 1 9000; echo tidied; exit 0' TERM; sleep 300 & echo $!; (sleep 300 & echo $!; wait) & wait"
    task = asyncio.create_task(shell.outcome(command))
    await shell.log.until(lambda lines: len(lines) == 2)
    children = [int(line) for line in shell.log.texts]
    for child in children:
        await runs(child, "sleep")
    assert await shell.cancelled(task) < processes.GRACE
    for child in children:
        await gone(child)
    assert shell.log.texts[2:] == [*map(str, range(1, 9001)), "tidied"]


@pytest.mark.usefixtures("much_grace")
async def test_a_child_may_tidy_up_after_its_parent_has_ended(shell: Shell, tmp_path: Path) -> None:
    child = "trap 'sleep 0.3; touch tidied; exit' TERM; echo up; while :; do sleep 0.05; done"
    task = asyncio.create_task(
        shell.outcome(f'sh -c "{child}" >{tmp_path}/out & echo $!; exec sleep 300', working_dir=str(tmp_path))
    )
    await shell.log.until(lambda lines: len(lines) == 1)
    await until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "up\n")
    assert await shell.cancelled(task) < processes.GRACE
    assert (tmp_path / "tidied").exists()
    assert is_gone(int(shell.log.texts[0]))


async def test_what_does_not_end_when_asked_is_killed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    task = asyncio.create_task(shell.outcome("trap '' TERM; echo $$; while :; do sleep 0.1; done"))
    await shell.log.until(lambda lines: len(lines) == 1)
    assert await shell.cancelled(task) >= 0.2
    assert is_gone(int(shell.log.texts[0]))


@pytest.mark.usefixtures("much_grace")
async def test_cancelled_a_second_time_it_waits_no_longer(shell: Shell) -> None:
    task = asyncio.create_task(shell.outcome("trap 'echo asked' TERM; echo $$; while :; do sleep 0.05; done"))
    await shell.log.until(lambda lines: len(lines) == 1)
    task.cancel()
    await shell.log.until(lambda lines: "asked" in lines)
    assert await shell.cancelled(task) < processes.GRACE
    assert is_gone(int(shell.log.texts[0]))


async def test_a_time_limit_ends_the_group(shell: Shell) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await shell.outcome("sleep 300 & echo $!; wait")
    await gone(int(shell.log.texts[0]))


async def test_a_child_in_the_background_does_not_hold_the_task_up(shell: Shell) -> None:
    began = monotonic()
    output = await shell.output("sleep 300 & echo $!")
    assert monotonic() - began < 60
    await gone(int(output["result"]))


async def test_a_child_in_a_session_of_its_own_does_not_hold_the_task_up(shell: Shell) -> None:
    """It holds the pipes and is no member of the group, and ends with the task."""
    began = monotonic()
    output = await shell.output("setsid sleep 300 & echo $!")
    assert monotonic() - began < 60
    assert is_gone(int(output["result"]))


async def test_a_child_may_finish_its_sentence(shell: Shell) -> None:
    output = await shell.output("(sleep 0.2; echo late) & echo early")
    assert output["stdout"] == "early\nlate\n"


async def test_cancelled_before_it_has_started_it_leaves_nothing(shell: Shell) -> None:
    mark = f"{shell.environment['MILLRACE_ATTEMPT']}:early"
    shell.environment = {"MILLRACE_ATTEMPT": mark}
    for turns in range(12):
        task = asyncio.create_task(shell.outcome("exec sleep 300"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await shell.cancelled(task)
    assert marked(mark) == []


async def test_cancelled_at_its_first_word_it_is_asked_to_end_like_later(shell: Shell) -> None:
    """It may speak before the event loop knows that it has started."""
    for _ in range(15):
        shell.log.lines.clear()
        task = asyncio.create_task(shell.outcome("trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.02; done"))
        await shell.log.until(lambda lines: lines == ["up"])
        await shell.cancelled(task)
        assert shell.log.texts[-1] == "asked"


async def test_many_commands_leave_no_files_open(shell: Shell) -> None:
    await asyncio.gather(*(shell.output("true") for _ in range(5)))
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(shell.output("echo a; sleep 0.01 & exit 0") for _ in range(20)))
    await shell.failure(["no-such-program"])
    assert len(os.listdir("/proc/self/fd")) <= before + 2
