"""How documents are read and compared: what is said there about other documents is only worth as much."""

from pathlib import Path

import pytest

from tests.support import documents
from tests.support.documents import blocks_of, commands_of, difference

DOCUMENT = """\
# A page

```sh
first \\
  --option
# a comment
second   # exit status 3
cat > file <<'END'
text, not a command
END
third
```

<!-- not executed: it needs another machine -->
```sh
never
```

<!-- typed: secret\\nagain -->
```sh server
up
```

1. A list

   ```yaml
   # folder/file.yaml
   name: x
   ```

```json other.json
{}
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(documents, "REPOSITORY", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(DOCUMENT)
    return path


def test_blocks_with_their_places_and_notes(page: Path) -> None:
    typed, left_out, server, yaml, json = blocks_of(page)
    assert (typed.language, typed.words, typed.place, typed.left_out) == ("sh", (), "page.md:4", None)
    assert left_out.left_out == "it needs another machine"
    assert (server.words, server.typed) == (("server",), "secret\nagain\n")
    assert (yaml.file, yaml.text) == ("folder/file.yaml", "# folder/file.yaml\nname: x\n")
    assert json.file == "other.json"


def test_commands_as_a_shell_reads_them(page: Path) -> None:
    commands = commands_of(blocks_of(page)[0])
    assert [command.text.split()[0] for command in commands] == ["first", "second", "cat", "third"]
    assert [command.place for command in commands] == ["page.md:4", "page.md:7", "page.md:8", "page.md:11"]
    assert [command.exit_status for command in commands] == [0, 3, 0, 0]
    assert commands[2].text.splitlines()[1:] == ["text, not a command", "END"]


def test_a_block_without_an_end_is_noticed(page: Path) -> None:
    page.write_text("```sh\nls\n")
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        blocks_of(page)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param("a  b\n", "a     b\n", id="widths of columns"),
        pytest.param("at 2026-01-01 10:00:00\n", "at 2027-02-03T11:12:13.5Z\n", id="times"),
        pytest.param("01a1fe24-6fcd-79b6-9e51-f5645906e270\n", "01a1fe24-aaaa-79b6-9e51-f5645906e270\n", id="ids"),
        pytest.param("took 20 ms\n", "took 1.5 s\n", id="lengths of time"),
        pytest.param("a … c\n", "a b b c\n", id="anything in a line"),
        pytest.param("a\n…\nz\n", "a\nb\nc\nz\n", id="any lines"),
        pytest.param("a\n…\nz\n", "a\nz\n", id="no lines"),
    ],
)
def test_an_output_that_is_as_shown(shown: str, printed: str) -> None:
    assert difference(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param("a\n", "b\n", id="another text"),
        pytest.param("a\n", "a\nb\n", id="more lines"),
        pytest.param("a\nb\n", "a\n", id="fewer lines"),
        pytest.param("fired 1\n", "fired 2\n", id="another number"),
        pytest.param("a … c\n", "a b\n", id="another end"),
        pytest.param("a.c\n", "abc\n", id="signs of patterns"),
    ],
)
def test_an_output_that_is_not(shown: str, printed: str) -> None:
    assert difference(shown, printed) is not None
