"""The `millrace` command. `up` is the server; every other command talks HTTP to a running one.

Exit status: 0 well, 1 a run failed or a check found something, 2 the command or request is not right, 3 the run was
cancelled, 4 no server answers.
"""

import gc
import sys


def main() -> None:
    """Entry point of the console script. The server starts without loading what the other commands need."""
    if sys.argv[1:] == ["up"]:
        sys.exit(start_server())
    from millrace.cli.app import app
    from millrace.cli.connection import CommandError, end_with

    try:
        app()
    except CommandError as error:
        sys.exit(end_with(error).exit_code)


def start_server() -> int:
    """Serve until asked to stop; answers the exit status."""
    # What is loaded now stays; a collector that looks at it again and again takes a tenth of the start.
    gc.disable()
    from millrace.serve import serve

    return serve()


if __name__ == "__main__":
    main()
