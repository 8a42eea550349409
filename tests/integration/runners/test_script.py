"""The task type `script` with real interpreters: what goes in, what comes out, and what is told of a fault."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.core.failures import FailureKind
from millrace.core.values import check_value
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.runners.script import ScriptConfig, ScriptRunner
from tests.integration.runners.shell_kit import Log, gone, marked, rules

LANGUAGES = ("python", "node", "bash")

VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "grüße, 世界 👋 \u2028 \" \\ '$HOME'",
    [],
    {},
    [1, {"a": [None, {"": "b"}]}],
    2**53 + 1,
    -(2**63),
    2**63 - 1,
    {"n": [9007199254740993, "9007199254740993", 0.1, 1e300]},
    {"{{ literal }}": "{{ input.x }}"},
]

ECHO = {"python": "result = input", "node": "return input", "bash": "cat"}


@dataclass
class Scripts:
    runner: ScriptRunner
    log: Log

    async def outcome(self, language: Any, source: str, **config: Any) -> Completed | Failed:
        context = RunnerContext("run", "task", 1, self.log, {"MILLRACE_ATTEMPT": f"installation:x:{os.getpid()}"})
        return await self.runner.run(ScriptConfig(language=language, source=source, **config), context)

    async def output(self, language: Any, source: str, **config: Any) -> dict[str, Any]:
        outcome = await self.outcome(language, source, **config)
        assert isinstance(outcome, Completed), outcome
        check_value(outcome.output)
        assert isinstance(outcome.output, dict)
        return outcome.output

    async def result(self, language: Any, source: str, **config: Any) -> Any:
        return (await self.output(language, source, **config))["result"]

    async def failure(self, language: Any, source: str, **config: Any) -> Any:
        outcome = await self.outcome(language, source, **config)
        assert isinstance(outcome, Failed), outcome
        check_value(outcome.failure.to_json())
        return outcome.failure


def scripts_with(interpreters: dict[str, str] | None = None, **settings: Any) -> Scripts:
    addresses = AddressPolicy()
    shell = rules(**settings)
    services = RunnerServices(
        GuardedHttpClient(addresses), addresses, (), None, shell, script_interpreters=interpreters or {}
    )
    return Scripts(ScriptRunner(services), Log())


@pytest.fixture
async def scripts() -> AsyncIterator[Scripts]:
    made = scripts_with()
    yield made
    await made.runner.close()


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_value_comes_out_as_it_went_in(scripts: Scripts, language: str, value: Any) -> None:
    result = await scripts.result(language, ECHO[language], input=value)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "import json, sys; result = json.load(sys.stdin)"),
        ("python", "import json, os; result = json.load(open(os.environ['MILLRACE_INPUT_FILE']))"),
        ("node", "return JSON.parse(require('fs').readFileSync(0, 'utf8'))"),
        ("node", "return JSON.parse(require('fs').readFileSync(process.env.MILLRACE_INPUT_FILE, 'utf8'))"),
        ("bash", 'cat "$MILLRACE_INPUT_FILE" >/dev/null; cat "$MILLRACE_INPUT_FILE"'),
        ("bash", "head -c 1 >/dev/null; cat /dev/stdin"),
    ],
)
async def test_the_input_is_on_stdin_and_in_a_file(scripts: Scripts, language: str, source: str) -> None:
    value = {"name": "Ådå", "n": [1, 2.5]}
    assert await scripts.result(language, source, input=value) == value


async def test_a_large_input_and_result(scripts: Scripts) -> None:
    rows = [{"id": number, "text": "ü" * 20} for number in range(20_000)]
    for language in LANGUAGES[:2]:
        assert await scripts.result(language, ECHO[language], input=rows) == rows


async def test_an_input_is_never_code(scripts: Scripts) -> None:
    evil = "\"); import os; os._exit(3) #'; process.exit(3); `exit 3` $(exit 3) \n exit 3"
    for language in LANGUAGES:
        assert await scripts.result(language, ECHO[language], input=evil) == evil


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "source", "result"),
    [
        ("python", "result = {'n': input['n'] + 1}", {"n": 2}),
        ("python", "def main(x):\n    return (1, x['n'])\nresult = main(input)", [1, 1]),
        ("python", "import sys\nresult = 5\nsys.exit()\nresult = 6", 5),
        ("python", "result = 1\nprint('{\"n\": 2}')", 1),
        ("python", "result = None\nprint('{\"n\": 2}')", None),
        ("python", "print('{\"n\": 2}')\nprint('done')", {"n": 2}),
        ("python", "pass", None),
        ("python", "import __main__; result = [__name__, __main__.input == input]", ["__main__", True]),
        ("python", "import os, sys\nresult = 1\nif os.fork() == 0:\n    result = 2\n    sys.exit()\nos.wait()", 1),
        ("node", "return {n: input.n + 1}", {"n": 2}),
        ("node", "if (input.n) return 'early'\nreturn 'late'", "early"),
        ("node", "const fs = await import('node:fs'); return typeof fs.readFileSync", "function"),
        ("node", "return await new Promise(resolve => setTimeout(() => resolve([1]), 1)) // a comment", [1]),
        ("node", "return [undefined, {a: undefined, b: 2n ** 62n}]", [None, {"b": 2**62}]),
        ("node", "return new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("node", "console.log('{\"n\": 2}')", {"n": 2}),
        ("node", "console.log('{\"n\": 2}'); return null", None),
        ("bash", "echo '{\"n\": 2}'; echo done", {"n": 2}),
        ("bash", "echo nothing", None),
    ],
)  # fmt: skip
async def test_results(scripts: Scripts, language: str, source: str, result: Any) -> None:
    assert await scripts.result(language, source, input={"n": 1}) == result


@pytest.mark.parametrize(
    ("language", "source", "told"),
    [
        ("python", "result = object()", "Object of type object is not JSON serializable"),
        ("python", "import datetime\nresult = {'at': datetime.datetime.now()}", "type datetime is not JSON"),
        ("python", "result = {'a': [float('nan')]}", "result.a[0]: numbers must be finite"),
        ("python", "result = {'id': 2**64}", "result.id: integers must fit in 64 bits"),
        ("python", "result = 10**6000", "the result is not JSON"),
        ("python", "result = 'a\\0b'", "must not contain the NUL character"),
        ("python", "result = '\\ud800'", "lone surrogate"),
        ("python", "result = []\nresult.append(result)", "Circular reference"),
        ("python", "result = 'x' * 5_000_000", "longer than 4194304 bytes"),
        ("node", "return 0 / 0", "the result is NaN, which is not JSON"),
        ("node", "return {a: {b: Infinity}}", '"b" in the result is Infinity'),
        ("node", "return () => 1", "the result is a function"),
        ("node", "return {m: new Map([[1, 2]])}", '"m" in the result is a Map'),
        ("node", "const a = {}; a.a = a; return a", "circular"),
        ("node", "return 2n ** 64n", "integers must fit in 64 bits"),
    ],
)
async def test_a_result_that_is_not_json(scripts: Scripts, language: str, source: str, told: str) -> None:
    failure = await scripts.failure(language, source)
    assert failure.kind is FailureKind.INVALID_OUTPUT
    assert told in failure.message
    assert failure.details["exit_code"] == 0


async def test_output_is_that_of_shell(scripts: Scripts) -> None:
    output = await scripts.output("python", "import sys\nprint('one')\nprint('two', file=sys.stderr)\nresult = 3")
    assert output == {"exit_code": 0, "stdout": "one\n", "stderr": "two\n", "truncated": False, "result": 3}
    assert sorted(scripts.log.lines) == [("info", "one"), ("warning", "two")]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_lines_are_logged_while_the_script_runs(scripts: Scripts, language: str) -> None:
    source = {
        "python": "print('first')\nimport time\ntime.sleep(60)",
        "node": "console.log('first'); setTimeout(() => {}, 60000)",
        "bash": "echo first; sleep 60 & wait",
    }[language]
    task = asyncio.create_task(scripts.outcome(language, source))
    await scripts.log.until(lambda lines: lines == ["first"])
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert marked(f"installation:x:{os.getpid()}") == []


async def test_a_cancelled_script_takes_its_children_along(scripts: Scripts) -> None:
    source = "import subprocess, time\nchild = subprocess.Popen(['sleep', '60'])\nprint(child.pid)\ntime.sleep(60)"
    task = asyncio.create_task(scripts.outcome("python", source))
    await scripts.log.until(lambda lines: len(lines) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(int(scripts.log.texts[0]))


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "source", "message", "stderr"),
    [
        ("python", "x = 1\n\nraise ValueError('bad day')", "ValueError: bad day", 'File "<script>", line 3'),
        ("python", "def f():\n    return input['x']\n\n\nf()\n", "KeyError: 'x'", "    return input['x']\n"),
        ("python", "x = 1\nif x\n", "SyntaxError", 'File "<script>", line 2'),
        ("python", "try:\n    1 / 0\nexcept Exception as e:\n    raise OSError('a') from e", "OSError: a", "line 2"),
        ("node", "const x = 1\n\nthrow new TypeError('bad day')", "TypeError: bad day", "script.js:3:7"),
        ("node", "throw 'text'", "Uncaught text", ""),
        ("node", "await 1\n\nawait Promise.reject(new Error('later'))", "Error: later", "script.js:3"),
        ("node", "setTimeout(() => {\n  throw new Error('later')\n}, 1)", "Error: later", "script.js:2:9"),
        ("node", "const x = 1\nconst = 2\n", "SyntaxError", "script.js:2"),
        ("bash", "true\nset -e\nno-such-command\n", "script: line 3: no-such-command: command not found", ""),
    ],
)
async def test_a_fault_is_told_with_the_line_of_the_source(
    scripts: Scripts, language: str, source: str, message: str, stderr: str
) -> None:
    failure = await scripts.failure(language, source, input={})
    assert failure.kind is FailureKind.ERROR
    assert failure.message.startswith("the script ended with exit code 1")
    assert message in failure.message
    shown = failure.details["stderr"]
    assert stderr in shown
    assert "millrace" not in shown
    assert "run_python" not in shown
    assert "run_node" not in shown


@pytest.mark.parametrize("language", LANGUAGES)
async def test_exit_codes(scripts: Scripts, language: str) -> None:
    source = {
        "python": "result = 1\nraise SystemExit(3)",
        "node": "process.exitCode = 3; return 1",
        "bash": "echo 1; exit 3",
    }
    failure = await scripts.failure(language, source[language])
    assert failure.message.startswith("the script ended with exit code 3")
    assert (await scripts.output(language, source[language], expected_exit_codes=[3]))["exit_code"] == 3


# --- surroundings -----------------------------------------------------------------------------------------------------


async def test_what_a_script_sees(scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_SECRET_KEY", "do not tell")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    (tmp_path / "neighbour.py").write_text("NAME = 'neighbour'")
    source = (
        "import os, sys, neighbour\n"
        "result = [neighbour.NAME, os.getcwd(), sys.argv, os.environ['DAY'], os.environ['N'],\n"
        "  sorted(n for n in os.environ if n.startswith(('MILLRACE', 'PYTHON', 'VIRTUAL')))]"
    )
    result = await scripts.result("python", source, working_dir=str(tmp_path), env={"DAY": "today", "N": {"a": 1}})
    assert result == [
        "neighbour",
        str(tmp_path),
        ["script"],
        "today",
        '{"a":1}',
        ["MILLRACE_ATTEMPT", "MILLRACE_INPUT_FILE"],
    ]


async def test_millraces_own_packages_are_not_seen() -> None:
    scripts = scripts_with(shell_path=f"{sys.prefix}/bin:/usr/bin:/bin")
    assert await scripts.result("python", "import sys; result = sys.prefix") != sys.prefix


async def test_an_interpreter_can_be_named(tmp_path: Path) -> None:
    own = tmp_path / "python"
    own.write_text(f'#!/bin/sh\nexport CHOSEN=yes\nexec {sys.executable} "$@"\n')
    own.chmod(0o755)
    scripts = scripts_with({"python": str(own)})
    assert await scripts.result("python", "import os; result = os.environ['CHOSEN']") == "yes"


async def test_an_interpreter_that_is_missing(tmp_path: Path) -> None:
    failure = await scripts_with({"node": "/no/node"}).failure("node", "return 1")
    assert failure.kind is FailureKind.REFUSED
    assert failure.message == "MILLRACE_SCRIPT_NODE names /no/node, which is no program that can be run here"
    failure = await scripts_with(shell_path=str(tmp_path)).failure("node", "return 1")
    assert failure.kind is FailureKind.REFUSED
    assert failure.message.startswith("there is no node on MILLRACE_SHELL_PATH for node scripts")
    assert "MILLRACE_SCRIPT_NODE" in failure.message


async def test_the_rules_of_shell_hold_for_scripts(tmp_path: Path) -> None:
    failure = await scripts_with(shell_policy="off").failure("bash", "true")
    assert (failure.kind, "MILLRACE_SHELL_POLICY=on" in failure.message) == (FailureKind.REFUSED, True)
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    confined = scripts_with(shell_allowed_dirs=(allowed,))
    assert await confined.result("python", "import os; result = os.getcwd()", working_dir=".") == str(allowed)
    failure = await confined.failure("bash", "true", working_dir=str(tmp_path))
    assert (failure.kind, "MILLRACE_SHELL_ALLOWED_DIRS" in failure.message) == (FailureKind.REFUSED, True)


async def test_no_file_stays_open(scripts: Scripts) -> None:
    await scripts.result("bash", "true")
    before = set(os.listdir("/proc/self/fd"))
    for language in LANGUAGES:
        await scripts.result(language, ECHO[language], input=1)
    await scripts.failure("python", "1 / 0")
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "config",
    [
        {"language": "python"},
        {"source": "x"},
        {"language": "ruby", "source": "x"},
        {"language": "bash", "source": "  \n"},
        {"language": "bash", "source": "a\0b"},
        {"language": "bash", "source": "x" * 100_001},
        {"language": "bash", "source": "x", "env": {"A=B": 1}},
        {"language": "python", "source": "x", "dependencies": ["requests"]},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScriptConfig(**config)
