"""What `scripts/print-client` prints is what is there, and importing the client brings nothing of the server."""

import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
REMEDY = "type: .venv/bin/python scripts/print-client"
HEAVY = ("pydantic", "fastapi", "starlette", "sqlalchemy", "uvicorn", "typer", "rich", "structlog", "orjson", "yaml")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("print_client", str(ROOT / "scripts" / "print-client"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_generated_files_are_what_the_script_prints(script: ModuleType) -> None:
    different = [path.name for path, text in script.printed().items() if path.read_text("utf-8") != text]
    assert not different, REMEDY
    assert not script.strays(), REMEDY


def test_nothing_of_asyncio_is_left_in_the_client_that_waits() -> None:
    files = list((ROOT / "src" / "millrace" / "client" / "sync").glob("*.py"))
    assert len(files) > 10
    words = re.compile(r"\b(?:async|await|asyncio|aio|Async\w+|a(?:close|next|read|iter)\w*)\b")
    texts = {path.name: path.read_text().partition("\n")[2] for path in files}
    found = [(name, word) for name, text in texts.items() for word in words.findall(text)]
    assert found == []


def test_comments_and_docstrings_survive_the_printing(script: ModuleType) -> None:
    source = (
        '"""Use `async with`."""\n\nfrom x.aio.y import AsyncThing\n\n\n'
        "class AsyncOther(AsyncThing):\n    async def __aenter__(self):  # the reason\n"
        "        return [await one async for one in self]\n"
    )
    assert script.synchronous("z.py", source).splitlines()[1:] == [
        '"""Use `with`."""',
        "",
        "from x.sync.y import Thing",
        "",
        "",
        "class Other(Thing):",
        "    def __enter__(self):  # the reason",
        "        return [one for one in self]",
    ]


def test_types_follow_the_schema(script: ModuleType) -> None:
    schema = {
        "description": "A thing.",
        "required": ["kind", "from"],
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "from": {"anyOf": [{"$ref": "#/components/schemas/Other.Part"}, {"type": "null"}]},
            "sizes": {"type": "array", "items": {"type": ["integer", "null"]}, "description": "Bytes."},
        },
    }
    printed = script.typed("Thing", schema)
    assert "'kind': \"Literal['a', 'b']\"" in printed
    assert "'from': 'OtherPart | None'" in printed
    assert "# Bytes.\n        'sizes': 'NotRequired[list[int | None]]'" in printed
    del schema["properties"]["from"]  # type: ignore[attr-defined]
    assert script.typed("Thing", schema).startswith('class Thing(TypedDict):\n    """A thing."""\n')


def test_importing_the_client_is_light() -> None:
    code = f"import sys, millrace.client; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_client_imports_nothing_else_of_millrace() -> None:
    code = "import sys, millrace.client; print(*[name for name in sys.modules if name.startswith('millrace')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if not name.startswith("millrace.client")} == {"millrace"}
