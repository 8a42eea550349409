"""What the source must not contain: the bans that no linter knows, checked on the syntax tree of every module.

Each ban is a detector, a function from a parsed module to what it found. A detector is tried on snippets first: it must
find the bad ones and stay silent on the good ones, so that no ban can pass because its detector went blind.
Who may import whom is not here but in the import-linter contracts of `pyproject.toml`.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
PRINTED_LISTS = {"millrace/client/types.py"}
"""Printed by scripts/print-client, one type after the other; nobody reads them from top to bottom."""
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
IMPURE_MODULES = {"asyncio", "logging", "random", "secrets", "time", "uuid"}
WALL_CLOCKS = {"now", "utcnow", "today"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


@dataclass(frozen=True)
class Module:
    """A source file: its path below `src/`, with forward slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).with_suffix("").parts

    def is_in(self, package: str) -> bool:
        return self.path.startswith(f"millrace/{package}/")


Finding = tuple[int, str]
Detector = Callable[[Module], Iterator[Finding]]


def imported_names(module: Module) -> Iterator[Finding]:
    """Every imported name in full (`datetime.datetime`, `millrace.core.run.RunState`), relative imports resolved."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = module.parts[: -node.level] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def foreign_imports(module: Module) -> Iterator[Finding]:
    """The core imports the standard library and itself: what it computes depends on nothing that can be swapped."""
    if module.is_in("core"):
        for line, name in imported_names(module):
            own = name.startswith("millrace.core.")
            if not own and name.split(".")[0] not in sys.stdlib_module_names:
                yield line, f"the core imports {name}"


def impure_imports(module: Module) -> Iterator[Finding]:
    """The core has no clock, no chance, no log and no loop: `now`, ids and random numbers are arguments."""
    if module.is_in("core"):
        for line, name in imported_names(module):
            if name.split(".")[0] in IMPURE_MODULES:
                yield line, f"the core imports {name}"


def clock_reads(module: Module) -> Iterator[Finding]:
    """`datetime.now()` and its kin hide behind a harmless import, whatever the class is called there."""
    if module.is_in("core"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCKS and _is_date_class(node.value):
                yield node.lineno, f"the core reads the clock: {ast.unparse(node)}"


def _is_date_class(node: ast.expr) -> bool:
    """`datetime`, `date`, `dt.datetime`, ...; not `self.now`, nor `draft.now`, which are arguments kept."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lower() in {"datetime", "date"}


def asynchrony(module: Module) -> Iterator[Finding]:
    """The core is synchronous: a fold is one step that nothing can interleave with."""
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    if module.is_in("core"):
        for node in ast.walk(module.tree):
            if isinstance(node, kinds) or (isinstance(node, ast.comprehension) and node.is_async):
                line = getattr(node, "lineno", 0)
                yield line, f"the core is asynchronous: {type(node).__name__}"


def commits(module: Module) -> Iterator[Finding]:
    """One place ends transactions: who else did would break the gate that decides over a batch.

    A transaction's `commit()` takes no argument; the store's `commit(changes)` asks that one place to do it.
    """
    if not module.is_in("storage"):
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="commit"), args=[], keywords=[]):
                    yield node.lineno, f"a commit outside storage: {ast.unparse(node)}"


def long_files(module: Module) -> Iterator[Finding]:
    lines = module.text.count("\n")
    if lines > MAX_FILE_LINES and not _is_migration(module) and module.path not in PRINTED_LISTS:
        yield 1, f"{lines} lines, at most {MAX_FILE_LINES}: split it by a noun of the domain"


def long_functions(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_migration(module):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def _is_migration(module: Module) -> bool:
    """Migrations are lists of statements, frozen once released; they are not split for length."""
    return module.is_in("storage/migrations")


def vague_names(module: Module) -> Iterator[Finding]:
    for part in module.parts:
        if part.lstrip("_") in VAGUE_NAMES:
            yield 1, f"`{part}` says nothing about what is inside"


def unfinished_work(module: Module) -> Iterator[Finding]:
    """Open work belongs in an issue, where somebody looks for it."""
    for number, line in enumerate(module.text.splitlines(), start=1):
        if found := UNFINISHED.search(line):
            yield number, f"{found[0]} in the source"


def core(text: str) -> Module:
    return Module("millrace/core/sample.py", text)


def engine(text: str) -> Module:
    return Module("millrace/engine/sample.py", text)


def function_of(lines: int) -> str:
    return "async def f():\n" + "    x = 1\n" * (lines - 1)


BAD: dict[Detector, list[Module]] = {
    foreign_imports: [
        core("import pydantic"),
        core("import os, orjson"),
        core("from sqlalchemy.ext import asyncio"),
        core("from millrace.ports.clock import Clock"),
        core("from millrace import config"),
        core("from ..ports import clock"),
        core("def f():\n    import structlog"),
    ],
    impure_imports: [
        core("import time"),
        core("from uuid import uuid4"),
        core("import random as r"),
        core("import asyncio.events"),
        core("from logging import getLogger"),
        core("def f():\n    import secrets"),
    ],
    clock_reads: [
        core("datetime.now(UTC)"),
        core("import datetime as dt\ndt.datetime.utcnow()"),
        core("date.today()"),
        core("clock = datetime.now"),
    ],
    asynchrony: [
        core("async def f(): ..."),
        core("async def f():\n    await g()"),
        core("def f():\n    return (x async for x in y)"),
    ],
    commits: [engine("connection.commit()"), engine("async def f():\n    await self.session.commit()")],
    long_files: [engine("x = 1\n" * (MAX_FILE_LINES + 1))],
    long_functions: [engine(function_of(MAX_FUNCTION_LINES + 1))],
    vague_names: [
        Module("millrace/engine/utils.py", ""),
        Module("millrace/helpers/__init__.py", ""),
        Module("millrace/app/_common.py", ""),
    ],
    # Put together here, so that a search of the repository for such marks finds none.
    unfinished_work: [
        engine(f"x = 1  # {mark}: later") for mark in ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
    ],
}

GOOD: dict[Detector, list[Module]] = {
    foreign_imports: [
        core("import math\nfrom collections.abc import Mapping\nfrom . import run"),
        core("from millrace.core.run import RunState\nfrom millrace.core import run"),
        engine("import orjson\nfrom millrace.ports.clock import Clock"),
    ],
    impure_imports: [core("from datetime import UTC, datetime"), engine("import asyncio, logging, time")],
    clock_reads: [core("draft.now + self.now"), engine("datetime.now(UTC)")],
    asynchrony: [core("def f(): return [x for x in y]"), engine("async def f(): await g()")],
    commits: [
        Module("millrace/storage/database.py", "connection.commit()"),
        engine("store.commit(changes)\nstore.committed()\nself.commit = None"),
    ],
    long_files: [
        engine("x = 1\n" * MAX_FILE_LINES),
        Module("millrace/storage/migrations/versions/0001_first.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
        Module("millrace/client/types.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
    ],
    long_functions: [engine(function_of(MAX_FUNCTION_LINES))],
    vague_names: [Module("millrace/engine/committer.py", ""), Module("millrace/app/commonality.py", "")],
    unfinished_work: [engine("hackathon = 'todos'")],
}

DETECTORS = list(BAD)


def named(detector: Detector) -> str:
    return getattr(detector, "__name__", "detector")


@pytest.fixture(scope="module")
def source() -> list[Module]:
    return [Module(path.relative_to(SOURCE).as_posix(), path.read_text("utf-8")) for path in SOURCE.rglob("*.py")]


def test_the_source_is_found(source: list[Module]) -> None:
    found = {module.path for module in source}
    assert {"millrace/core/transition.py", "millrace/engine/engine.py"} <= found


@pytest.mark.parametrize("detector", DETECTORS, ids=named)
def test_the_detector_sees_what_is_bad(detector: Detector) -> None:
    missed = [module for module in BAD[detector] if not list(detector(module))]
    assert not missed


@pytest.mark.parametrize("detector", DETECTORS, ids=named)
def test_the_detector_lets_the_good_pass(detector: Detector) -> None:
    found = [finding for module in GOOD[detector] for finding in detector(module)]
    assert not found


@pytest.mark.parametrize("detector", DETECTORS, ids=named)
def test_the_source_keeps_the_ban(detector: Detector, source: list[Module]) -> None:
    findings = [f"src/{module.path}:{line}: {text}" for module in source for line, text in detector(module)]
    assert not findings, "\n" + "\n".join(sorted(findings))


def test_a_start_loads_nothing_that_it_may_not_need() -> None:
    """Migrations and tokens come with libraries that take longer to load than much of the rest."""
    code = "import sys, millrace.bootstrap, millrace.serve; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"alembic", "joserfc"} & {*loaded} == set()
    assert "fastapi" in loaded, "the names are those of packages"
