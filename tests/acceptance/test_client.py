"""docs/how-to/python-client.md, typed in from top to bottom: what each snippet prints is what the document shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "python-client.md"
SNIPPET = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
MARK = "--- next snippet"


@pytest.fixture
def snippets() -> list[tuple[str, str]]:
    """Each snippet with what it prints."""
    return SNIPPET.findall(DOCUMENT.read_text("utf-8"))


def test_the_document_does_what_it_says(snippets: list[tuple[str, str]], tmp_path: Path) -> None:
    script = tmp_path / "typed.py"
    script.write_text("\n".join(f"{code}\nprint({MARK!r})" for code, _ in snippets))
    with MillraceProcess(tmp_path / "home") as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=tmp_path,
            env=server.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(f"{MARK}\n")[:-1] == [printed for _, printed in snippets]


def test_every_snippet_of_the_document_is_executed(snippets: list[tuple[str, str]]) -> None:
    fences = re.findall(r"^```(\S.*)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert set(fences) == {"python", "text"}
    assert fences.count("python") == len(snippets)


def test_the_snippets_pass_the_type_checker(snippets: list[tuple[str, str]], tmp_path: Path) -> None:
    """The first one, too, of somebody who is strict: the package says that it is typed."""
    script = tmp_path / "typed.py"
    script.write_text("\n".join(code for code, _ in snippets))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--follow-imports=silent"]
    done = subprocess.run([*command, script], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout
