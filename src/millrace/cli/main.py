"""The `millrace` command. `up` is the server, and `api`, `scheduler` and `worker` are parts of it; every other command
talks HTTP to a running one.

Exit status: 0 well, 1 a run failed or a check found something, 2 the command or request is not right, 3 the run was
cancelled, 4 no server answers.
"""

import gc
import sys


def main() -> None:
    """Entry point of the console script. The server starts without loading what the other commands need."""
    if sys.argv[1:] in (["up"], ["api"], ["scheduler"], ["worker"]):
        sys.exit(start_server(sys.argv[1]))
    from millrace.cli.app import app
    from millrace.cli.connection import CommandError, end_with

    try:
        app()
    except CommandError as error:
        sys.exit(end_with(error).exit_code)


def start_server(role: str = "up", **changed: object) -> int:
    """Serve in this role until asked to stop; answers the exit status. `changed`: settings in place of those given."""
    # What is loaded now stays; a collector that looks at it again and again takes a tenth of the start.
    gc.disable()
    from millrace.roles import Role
    from millrace.serve import serve

    return serve(Role(role), **changed)


if __name__ == "__main__":
    main()
