"""examples/language: every definition is run on a real Millrace, and comes to what it says of itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import REPOSITORY
from tests.support.server import MillraceProcess
from tests.support.telling import Teller
from tests.support.told_runs import check_run, told_runs

EXAMPLES = sorted((REPOSITORY / "examples" / "language").glob("*.yaml"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    """A server with all of them: some start others."""
    with MillraceProcess(tmp_path_factory.mktemp("language") / "home") as running:
        running.millrace("apply", "-f", str(EXAMPLES[0].parent))
        yield running


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_language_comes_to_what_it_says(example: Path, server: MillraceProcess) -> None:
    runs = told_runs(example.read_text("utf-8"))
    assert runs, f"{example.name}: say what comes of it: # run INPUT -> STATUS …"
    with server.client() as client:
        for run in runs:
            check_run(run, client, example.stem, example.name, Teller(server))
