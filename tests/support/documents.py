"""Documents with commands in them, and a reader who types what they say.

A fenced block tells by its first line what it is:

    sh               typed, command after command; each must succeed, unless it says `# … exit status 1`
    sh server        the same, but the last command is a server: it goes on running, and the one before is stopped
    sh background    the same for another program
    sh stopped       typed after the server has been stopped
    text             right behind commands: what they print; `…` stands for anything, ids and times may be others
    yaml, csv, …     with `# NAME` as the first line: that file; with `NAME` behind the language: the same

`<!-- not executed: REASON -->` before a block leaves it out; `<!-- typed: TEXT -->` is what the reader types in when
the commands of the block ask. `tests.support.reader` is who follows all that.
"""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = re.compile(r"<!-- not executed: (.+) -->")
TYPED = re.compile(r"<!-- typed: (.+) -->")
FILE_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.\w+")
EXIT_STATUS = re.compile(r"\s#.*\bexit status (\d+)")
HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?|\b\d\d:\d\d:\d\d(?:\.\d+)?\b")
ID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
KEY = re.compile(r"\bmr_[\w-]{20,}")
LENGTH_OF_TIME = re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block, and where it stands."""

    document: str
    line: int
    """Of its first line of text."""
    language: str
    words: tuple[str, ...]
    """What stands behind the language."""
    text: str
    left_out: str | None
    """Why it is not executed."""
    typed: str
    """What the reader types in."""

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block is."""
        if self.language in ("sh", "text"):
            return None
        first = self.text.partition("\n")[0].removeprefix("# ").strip()
        names = [*self.words, first] if self.text.startswith("# ") else list(self.words)
        return next((name for name in names if FILE_NAME.fullmatch(name)), None)


@dataclass(frozen=True)
class Command:
    """What is typed at once: one line, or several that the shell reads as one."""

    place: str
    text: str

    @property
    def exit_status(self) -> int:
        found = EXIT_STATUS.search(self.text)
        return int(found[1]) if found else 0


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a document, in their order."""
    document = str(path.relative_to(REPOSITORY))
    blocks: list[Block] = []
    lines = path.read_text("utf-8").splitlines()
    start = before = 0
    for number, line in enumerate(lines):
        fence = line.lstrip().startswith("```")
        if fence and start:
            blocks.append(_block(document, lines[before:start], lines[start:number], start))
            start, before = 0, number + 1
        elif fence:
            start = number + 1
    assert not start, f"{document}:{start}: the block has no end"
    return blocks


def _block(document: str, above: list[str], text: list[str], start: int) -> Block:
    language, *words = above[-1].strip().removeprefix("```").split() or [""]
    indent = len(above[-1]) - len(above[-1].lstrip())
    notes = above[-2].strip() if len(above) > 1 else ""
    left_out, typed = LEFT_OUT.fullmatch(notes), TYPED.fullmatch(notes)
    return Block(
        document,
        start + 1,
        language,
        tuple(words),
        "".join(f"{line[indent:]}\n" for line in text),
        left_out[1] if left_out else None,
        typed[1].replace("\\n", "\n") + "\n" if typed else "",
    )


def commands_of(block: Block) -> list[Command]:
    """The commands of a block; comments on a line of their own are none."""
    commands: list[Command] = []
    lines = list(enumerate(block.text.splitlines(), start=block.line))
    while lines:
        number, line = lines.pop(0)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text = line
        while text.endswith("\\"):
            text += "\n" + lines.pop(0)[1]
        if heredoc := HEREDOC.search(text):
            while text.rpartition("\n")[2] != heredoc[1]:
                text += "\n" + lines.pop(0)[1]
        commands.append(Command(f"{block.document}:{number}", text))
    return commands


def shown_as(text: str) -> list[str]:
    """The lines of an output without what is different each time: ids, times, and the widths of columns."""
    for pattern, name in ((KEY, "KEY"), (ID, "ID"), (TIME, "TIME"), (LENGTH_OF_TIME, "LENGTH")):
        text = pattern.sub(name, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def difference(shown: str, printed: str) -> str | None:
    """What of the output that a document shows is not so, or None. A line `…` stands for any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r"\n" for line in shown_as(shown)
    )
    lines = shown_as(printed)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)):
        return None
    return f"the document shows\n{shown}\nbut it printed\n{printed}"
