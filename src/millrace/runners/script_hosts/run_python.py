"""Runs a Python script of the task type `script`. It is started by the interpreter that scripts use, not imported.

    run_python.py INPUT_FILE SOURCE_FD RESULT_FD

That interpreter may be older than Millrace's own and has none of its packages: plain Python 3.7, nothing of ours. The
script runs as `__main__` with the global `input`; what it leaves in the global `result` is written to RESULT_FD as
`{"result": …}`, or `{"fault": …}` if it is not JSON.
"""

import json
import linecache
import os
import sys
import traceback
import types

NAME = "<script>"
OWNER = os.getpid()


def main() -> None:
    input_file, source_fd, result_fd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.set_inheritable(result_fd, False)
    with os.fdopen(source_fd, encoding="utf-8", newline="") as file:
        source = file.read()
    with open(input_file, encoding="utf-8") as file:
        value = json.load(file)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path[0] = os.getcwd()
    sys.argv = ["script"]
    # So that the lines of the script are shown in every traceback, although it is in no file.
    linecache.cache[NAME] = (len(source), None, source.splitlines(True), NAME)
    script = types.ModuleType("__main__")
    script.__dict__.update(input=value)
    sys.modules["__main__"] = script
    try:
        exec(compile(source, NAME, "exec"), script.__dict__)  # noqa: S102
    except SystemExit as ending:
        if ending.code in (None, 0):
            hand_over(script, result_fd)
        raise
    except BaseException as error:
        tell(error)
        sys.exit(1)
    hand_over(script, result_fd)


def hand_over(script: types.ModuleType, result_fd: int) -> None:
    """Write the result, unless the script has left none. A process that it has forked has none to give."""
    if "result" not in script.__dict__ or os.getpid() != OWNER:
        return
    try:
        text = json.dumps({"result": script.__dict__["result"]})
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"fault": str(error)})
    with os.fdopen(result_fd, "w", encoding="ascii") as file:
        file.write(text)


def tell(error: BaseException) -> None:
    """The traceback as Python would print it, from the script's own first line on."""
    trace = error.__traceback__
    own = trace.tb_next if trace is not None else None
    traceback.print_exception(type(error), error, own)


main()
