"""Somebody who follows a document from top to bottom, in an empty folder, with a Millrace of his own.

He has one shell: variables and the folder stay from command to command. The names of the outside world that a document
uses (`api.example.com`) lead him to servers of the test, and the output shows him the names again.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from getpass import getuser
from pathlib import Path
from typing import Self

import httpx2

from tests.support.documents import Block, Command, blocks_of, commands_of, difference
from tests.support.server import free_port, ready_at
from tests.support.warm import nursery

READY_WITHIN = 60.0
NEWEST = {"RUN": "runs", "TRIGGER": "triggers", "ARTIFACT": "artifacts", "EVENT": "events", "BACKFILL": "backfills"}
"""Words in commands that stand for an id, and the list whose newest entry has it."""
PLACEHOLDER = re.compile(rf"(?<![\w$-])({'|'.join(NEWEST)})(?![\w=-])")


class Reader:
    """`names`: what of the outside world stands for what, in commands, in files, and back in the output.
    `replaced`: the same for what the output does not show again. `settings`: variables of his shell.
    """

    def __init__(
        self, home: Path, names: Mapping[str, str], replaced: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        self.home = home
        self.port = free_port()
        self._names = {**names, "127.0.0.1:8000": f"127.0.0.1:{self.port}", "/home/ada": str(home)}
        itself = {"https://millrace.example.com": f"http://127.0.0.1:{self.port}"}
        self._replaced = {**replaced, **itself, **self._names}
        self._state = home.parent / f"{home.name}.state"
        self._settings = settings
        self._server: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._ends = ExitStack()
        home.mkdir()
        self._state.write_text(f"cd '{home}'\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_server()
        self._ends.close()

    def follow(self, document: Path) -> None:
        """Do what the document says. Fails with its name and line where something is not as it says."""
        blocks = blocks_of(document)
        if next(block for block in blocks if block.language == "sh" and not block.left_out).words != ("server",):
            self.start_server("millrace up")
        printed = ""
        for block in blocks:
            if block.left_out:
                continue
            match block.language:
                case "sh":
                    printed = self._do(block)
                case "text":
                    if trouble := difference(block.text, printed):
                        raise AssertionError(f"{block.place}: {trouble}")
                case _ if block.file:
                    place = self.home / block.file
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(self._local(block.text), "utf-8")

    def _do(self, block: Block) -> str:
        *before, last = commands_of(block)
        if block.words == ("stopped",):
            self.stop_server()
        printed = "".join(self._type(command, block.typed) for command in before)
        match block.words:
            case ("server",):
                return printed + self.start_server(last.text)
            case ("background",):
                process, log = self._spawn(last.text)
                self._ends.callback(end, process)
                wait_until_it_says("Millrace is ready", process, log)
                return printed
        return printed + self._type(last, block.typed)

    def _type(self, command: Command, typed: str) -> str:
        text = PLACEHOLDER.sub(lambda match: self._newest(match[1]), command.text)
        done = subprocess.run(
            ["bash", "-c", self._script(text)],
            env=self._environment,
            input=self._local(typed),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = self._documented(done.stdout + done.stderr)
        if done.returncode != command.exit_status:
            raise AssertionError(f"{command.place}: exit status {done.returncode}\n$ {text}\n{printed}")
        return printed

    def _script(self, command: str) -> str:
        """The command in the shell that the one before left. Variables are exported, so that they outlive it."""
        after = f"""{{ export -p; echo "cd '$PWD'"; }} > '{self._state}'; exit $status"""
        return f". '{self._state}'; set -a -o pipefail; {self._local(command)}\nstatus=$?; {after}"

    def start_server(self, command: str) -> str:
        """Stop the server that is there, and start another; answers what it printed until it was ready."""
        self.stop_server()
        process, log = self._spawn(command)
        self._server = process
        wait_until_ready(self.port, process, log)
        return self._documented(log.read_text())

    def stop_server(self) -> None:
        if self._server is not None:
            end(self._server)
            self._server = None

    def _spawn(self, command: str) -> "tuple[subprocess.Popen[bytes], Path]":
        self._started += 1
        log = self.home.parent / f"{self.home.name}-{self._started}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f". '{self._state}'; {self._local(command)}"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return process, log

    @property
    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MILLRACE_", "DATABASE_URL"))}
        path = f"{nursery().bin}:{Path(sys.executable).parent}:{kept['PATH']}"
        return {
            **kept, "PATH": path, "HOME": str(self.home), "COLUMNS": "200", "MILLRACE_PORT": str(self.port),
            "MILLRACE_SHELL_USER": getuser(),
            **self._settings,
        }  # fmt: skip

    def _newest(self, word: str) -> str:
        key = (self.home / ".millrace" / "api-key").read_text()
        address = f"http://127.0.0.1:{self.port}/api/v1/{NEWEST[word]}?limit=200"
        answer = httpx2.get(address, headers={"X-API-Key": key}, timeout=30, trust_env=False).raise_for_status()
        return max(str(item["id"]) for item in answer.json()["items"])

    def _local(self, text: str) -> str:
        for documented, local in self._replaced.items():
            text = text.replace(documented, local)
        return text

    def _documented(self, text: str) -> str:
        for documented, local in self._names.items():
            text = text.replace(local, documented)
        return text


def end(process: "subprocess.Popen[bytes]") -> None:
    """As Ctrl-C does, for the whole group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while True:
        if ready_at(port):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def wait_until_it_says(words: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while words not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)
