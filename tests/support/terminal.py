"""A command of the CLI with a terminal, as people have one."""

import os
import pty
import subprocess
import sys

from tests.support.server import MillraceProcess


def on_a_terminal(server: MillraceProcess, *arguments: str, typed: str = "") -> tuple[int, str]:
    """Run a command on a terminal where `typed` is typed; answers its exit status and everything it drew."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli.main", *arguments],
        env={**server.environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    os.write(leader, typed.encode())
    drawn = bytearray()
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:
            break
        if not part:
            break
        drawn += part
    os.close(leader)
    return process.wait(timeout=60), drawn.decode()
