"""What `/openapi.json` says against what a server does: Schemathesis sends what it allows and what it forbids.

Every check there is: no 5xx; status, media type, headers and shape are those of the document; what the document forbids
is refused, also without credentials, with wrong ones, or by a method that a path does not have; what was deleted is
gone. What the document allows may be refused by what no schema can say (a name that is taken, a time that is over), by
a status that says so, never by one that is not described.

By default it takes less than a minute, and the same seed sends the same requests. By hand, for longer or otherwise:

    MILLRACE_TEST_FUZZ_EXAMPLES=500 MILLRACE_TEST_FUZZ_SEED=1 make test ARGS=tests/integration/api/test_openapi_fuzz.py

Left out: `/stream` and `/workflows/{workflow}/stream`, which do not end; `/db/backup`, which copies the database at
each request; `/connections/{name}/test`, which would connect to whatever host was made up. Bodies that are definitions
or tasks are sent as their examples only: the tool cannot make values for `if` and `then`, which tell the configs of
task types apart. They have the corpus and the property tests of definitions instead.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.ground import prepare
from tests.support.server import MillraceProcess

EXAMPLES = int(os.environ.get("MILLRACE_TEST_FUZZ_EXAMPLES", "3"))
"""Requests for each operation."""
SEED = os.environ.get("MILLRACE_TEST_FUZZ_SEED", "7")
PHASES = os.environ.get("MILLRACE_TEST_FUZZ_PHASES", "examples,fuzzing")
"""`coverage` and `stateful` take many minutes."""
LONGEST = 3600
"""Seconds, for a run by hand."""

CHECKS = "all"
LEFT_OUT = r"/stream$|/db/backup$|/connections/\{name\}/test$"

# What is made beforehand is named in paths, so that requests get further than to 404; what deletes it gets other names.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422, 503]

[parameters]
"path.workflow" = "target"
"path.run" = "{run}"
"path.artifact" = "{artifact}"
"path.task" = "{task}"
"path.path" = "a"
"path.version" = "1"

[[operations]]
include-name = ["DELETE /api/v1/workflows/{{workflow}}", "DELETE /api/v1/artifacts/{{artifact}}"]
parameters = {{ "path.workflow" = "nothing", "path.artifact" = "nothing" }}

[[operations]]
include-name = [
    "POST /api/v1/workflows", "POST /api/v1/workflows/validate", "POST /api/v1/workflows/apply",
    "PUT /api/v1/workflows/{{workflow}}", "PATCH /api/v1/workflows/{{workflow}}",
    "POST /api/v1/workflows/{{workflow}}/tasks",
    "PUT /api/v1/workflows/{{workflow}}/tasks/{{task}}", "PATCH /api/v1/workflows/{{workflow}}/tasks/{{task}}",
]
phases.fuzzing.enabled = false
"""


@pytest.mark.timeout(LONGEST + 60)
def test_the_server_does_what_its_document_says(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as process:
        names = prepare(process.port, process.api_key).names
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format_map(names))
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{process.url}/openapi.json",
                "--header", f"X-API-Key: {process.api_key}", "--exclude-path-regex", LEFT_OUT,
                "--checks", CHECKS, "--mode", "all", "--phases", PHASES,
                "--max-examples", str(EXAMPLES), "--seed", SEED, "--generation-database", "none",
                "--continue-on-failure", "--no-shrink", "--no-color", "--request-timeout", "60",
            ],
            cwd=tmp_path,
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-5_000:]}"
        assert "test cases" in done.stdout.lower()
        assert process.stop() == 0
        assert "Traceback" not in process.log.read_text()
