"""The quickstart and every how-to page, followed from top to bottom by a reader with a new home."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias, TypeGuard

import httpx2
import pytest

from tests.conftest import service_url, trouble_with
from tests.support.documents import REPOSITORY, blocks_of, commands_of
from tests.support.outside import files_in_a_bucket, outside_world, warehouse
from tests.support.reader import Reader

DOCS = REPOSITORY / "docs"
ELSEWHERE = {
    "python-client.md": "tests/acceptance/test_client.py",
    "task-types.md": "tests/acceptance/test_plug_ins.py",
}
"""Pages in another language than that of the shell, or whose commands would leave something behind, and their tests."""
PAGES = [
    DOCS / "quickstart.md",
    *(page for page in sorted((DOCS / "how-to").glob("*.md")) if page.name not in ELSEWHERE),
]
NEEDS_POSTGRES = {"backup-postgresql.md", "secrets.md", "http-to-sql.md", "postgresql.md"}
NEEDS_S3 = {"s3.md"}
OF_THE_SERVER = re.compile(r"<http://127\.0\.0\.1:8000(/[^>]*)>")

SHELL_WORDS = {(), ("server",), ("background",), ("stopped",)}
ILLUSTRATIONS = {"crontab", "http", "mermaid"}
Followed: TypeAlias = dict[Path, Future[None]]


@pytest.fixture(scope="module")
def followed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """The pages that are asked for, two at a time: most of what they do is to wait for a command line to start."""
    asked = [item.callspec.params["page"] for item in request.session.items if is_about_a_page(item)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {page: pool.submit(follow, page, tmp_path_factory.mktemp(page.stem)) for page in asked}


def is_about_a_page(item: pytest.Item) -> TypeGuard[pytest.Function]:
    if not isinstance(item, pytest.Function) or item.function is not test_a_page_does_what_it_says:
        return False
    return all(trouble_with(marker.args[0]) is None for marker in item.iter_markers("service"))


def follow(page: Path, folder: Path) -> None:
    """Follow the page with servers of its own. Fails as `Reader.follow` does."""
    with ExitStack() as stack:
        outside = stack.enter_context(outside_world(folder / "outside"))
        replaced = dict(outside.replaced)
        if page.name in NEEDS_POSTGRES:
            replaced |= stack.enter_context(warehouse(service_url("postgres")))
        if page.name in NEEDS_S3:
            replaced |= files_in_a_bucket()
        reader = stack.enter_context(Reader(folder / "reader", outside.names, replaced, outside.settings))
        (reader.home / "millrace").symlink_to(REPOSITORY)
        reader.follow(page)
        for path in OF_THE_SERVER.findall(page.read_text("utf-8")):
            answer = httpx2.get(f"http://127.0.0.1:{reader.port}{path}", timeout=30, trust_env=False)
            assert answer.status_code == 200, f"{page.name}: {path}: {answer.status_code}"


def pages() -> list[object]:
    return [
        pytest.param(page, id=page.stem, marks=[pytest.mark.service(name) for name in services_of(page)])
        for page in PAGES
    ]


def services_of(page: Path) -> list[str]:
    needed = {"postgres": NEEDS_POSTGRES, "s3": NEEDS_S3}
    return [name for name, by in needed.items() if page.name in by]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages())
def test_a_page_does_what_it_says(page: Path, followed: Followed) -> None:
    followed[page].result()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_executed_or_says_why_not(page: Path) -> None:
    before = None
    for block in blocks_of(page):
        match block.language:
            case _ if block.left_out:
                assert len(block.left_out) > 10, f"{block.place}: give the reason"
            case "sh":
                assert block.words in SHELL_WORDS, f"{block.place}: what is `sh {' '.join(block.words)}`?"
                assert commands_of(block), f"{block.place}: there is no command"
            case "text":
                assert before is not None, f"{block.place}: what prints this?"
                assert before.language == "sh", f"{block.place}: what prints this?"
            case language if language not in ILLUSTRATIONS:
                assert block.file, f"{block.place}: name the file in its first line, `# NAME`"
        before = block


def test_little_is_left_out() -> None:
    left_out = [block.place for page in PAGES for block in blocks_of(page) if block.left_out]
    assert len(left_out) <= 11, left_out


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_other_pages_are_executed_by_other_tests(page: str, test: str) -> None:
    assert page in (REPOSITORY / test).read_text("utf-8")
