"""The README, executed from top to bottom: what a new user types, in the order in which he reads it.

Fenced blocks say what they are: `sh server` starts Millrace (and stops the one before), `sh background` something else
that goes on running, `sh` is typed line by line and must succeed. The home folder is a new one, the port a free one.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import httpx2
import pytest

from tests.support.server import free_port

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
BLOCK = re.compile(r"^```(sh[ a-z]*|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
READY_WITHIN = 60.0

GATE = ("make check", "make test", "make bench")
"""Commands about the repository itself: `.ci/run` and `test_bench` run them, and not the tests that they run."""


@dataclass(frozen=True)
class Block:
    kind: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line and not line.startswith("#")]


def blocks() -> list[Block]:
    return [Block(kind, text) for kind, text in BLOCK.findall(README.read_text())]


@dataclass
class Reader:
    """Somebody who follows the README."""

    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MILLRACE_", "DATABASE_URL"))}
        own = {"HOME": str(self.home), "MILLRACE_PORT": str(self.port), "MILLRACE_SHELL_USER": getuser()}
        return {**kept, **own}

    def command(self, line: str) -> str:
        line = line.replace("greet.yaml", str(self.home / "greet.yaml"))
        return line.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    def type(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self.command(line)],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, line: str, ready_url: str) -> Iterator[Path]:
        """The command in the background, from when it answers at `ready_url`; gives the file of its output."""
        log = self.home / f"output-{time.monotonic_ns()}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", self.command(line)],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until_answers(ready_url, process, log)
            yield log
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=30)


def wait_until_answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while True:
        try:
            if httpx2.get(url, timeout=1, trust_env=False).status_code == 200:
                return
        except httpx2.HTTPError:
            assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    results = [Path("/tmp/millrace-ingest.db"), Path("/tmp/millrace-ingest-report.txt")]
    for place in results:
        place.unlink(missing_ok=True)
    yield Reader(tmp_path, free_port())
    for place in results:
        place.unlink(missing_ok=True)


@pytest.mark.timeout(600)
def test_the_readme_does_what_it_says(reader: Reader) -> None:
    said: dict[str, str] = {}
    ready = f"http://127.0.0.1:{reader.port}/health/ready"
    with ExitStack() as background, ExitStack() as server:
        for block in blocks():
            match block.kind:
                case "yaml":
                    (reader.home / "greet.yaml").write_text(block.text)
                case "sh server":
                    server.close()
                    log = server.enter_context(reader.running(block.lines[0], ready))
                    said.setdefault("first start", log.read_text())
                case "sh background":
                    url = "http://127.0.0.1:8801/reports"
                    background.enter_context(reader.running(block.lines[0], url))
                case "sh":
                    said |= {line: reader.type(line) for line in block.lines if not line.startswith(GATE)}
    key = (reader.home / ".millrace" / "api-key").read_text()
    assert key in said["first start"], "the first start shows the key"
    assert "HELLO, ADA!" in said[".venv/bin/millrace run fan-out -i name=Ada --follow"]
    assert "hello" in said[".venv/bin/millrace run greet -i name=you --follow"]
    assert "apac: 1, 12" in said["cat /tmp/millrace-ingest-report.txt"]
    assert '"region": "us"' in said["curl http://127.0.0.1:8801/reports"]


def test_every_command_of_the_readme_is_in_a_block_that_is_executed() -> None:
    fences = re.findall(r"^```(\S.*)$", README.read_text(), re.MULTILINE)
    assert set(fences) <= {"yaml", "sh", "sh server", "sh background"}, fences


def test_the_gate_runs_what_the_readme_leaves_to_it() -> None:
    gate = (REPOSITORY / ".ci" / "run").read_text()
    for command in ("make check", "make test"):
        assert command in gate
