"""The documents say what the code does: generated parts are compared, examples are validated."""

import importlib.util
import json
import re
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import jsonschema_rs
import pytest

from millrace.definition import definition_json_schema, read_yaml, validate
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import RunnerServices
from millrace.runners.registry import EntryPointRegistry
from millrace.triggers.registry import TRIGGER_TYPES

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "print-docs"
REMEDY = "type: .venv/bin/python scripts/print-docs"
LANGUAGE = ROOT / "docs" / "language"
DOCUMENTS = (
    "concepts.md",
    "definitions.md",
    "shapes.md",
    "settings.md",
    "how-to/cron.md",
    *(f"language/{page.name}" for page in sorted(LANGUAGE.glob("*.md"))),
)
FENCED = re.compile(r"^```(yaml|json)\b[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
EXAMPLE = re.compile(r"^<!-- example: ([\w-]+) -->$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ANY_BLOCK = re.compile(r"^\s*```.*?^\s*```", re.DOTALL | re.MULTILINE)
WITH_LINKS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("print_docs", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def registry() -> EntryPointRegistry:
    addresses = AddressPolicy()
    return EntryPointRegistry(RunnerServices(GuardedHttpClient(addresses), addresses, (), None))


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_generated_parts_are_what_the_code_says(script: ModuleType, name: str) -> None:
    assert script.printed(name, text_of(name)) == text_of(name), f"{name} differs from the code; {REMEDY}"


def test_a_part_that_was_edited_by_hand_is_noticed(script: ModuleType) -> None:
    document = text_of("concepts.md")
    edited = document.replace("| runs |", "| skipped |", 1)
    assert edited != document
    assert script.printed("concepts.md", edited) == document


def test_a_part_that_was_taken_out_is_noticed(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="joins"):
        script.printed("concepts.md", text_of("concepts.md").replace("<!-- generated: joins -->", ""))


def test_an_example_that_was_edited_on_the_page_is_noticed(script: ModuleType) -> None:
    document = text_of("language/loops.md")
    edited = document.replace("type: foreach", "type: while")
    assert edited != document
    assert script.printed("language/loops.md", edited) == document


def test_every_example_of_the_language_stands_on_a_page() -> None:
    shown = [name for page in LANGUAGE.glob("*.md") for name in EXAMPLE.findall(page.read_text("utf-8"))]
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "examples" / "language").glob("*.yaml"))


def whole_definitions() -> list[tuple[str, str, str]]:
    # Those of shapes.md are looked at by test_shapes: each beside what it becomes.
    documents = {name: text_of(name) for name in DOCUMENTS if name != "shapes.md"} | {
        "README.md": (ROOT / "README.md").read_text("utf-8")
    }
    pages = [ROOT / "docs" / "quickstart.md", *sorted(ROOT.glob("docs/how-to/*.md"))]
    documents |= {path.name: path.read_text("utf-8") for path in pages}
    return [
        (name, kind, text)
        for name, document in documents.items()
        for kind, text in FENCED.findall(document)
        if re.search(r'^("name"|name|  "name"):', text, re.MULTILINE)
    ]


@pytest.mark.parametrize(("name", "kind", "text"), whole_definitions())
def test_every_definition_in_the_documents_is_valid(
    registry: EntryPointRegistry, name: str, kind: str, text: str
) -> None:
    raw = read_yaml(text) if kind == "yaml" else json.loads(text)
    canonical = validate(raw, task_types=registry.types(), trigger_types=TRIGGER_TYPES).canonical
    assert canonical["tasks"]
    jsonschema_rs.validator_for(definition_json_schema(registry.types(), TRIGGER_TYPES)).validate(canonical)


def test_the_documents_hold_definitions() -> None:
    found = {name for name, _, _ in whole_definitions()}
    assert found >= {"README.md", "definitions.md", "notifications.md", "scripts.md"}


def places_of(path: Path) -> set[str]:
    """What `#…` may lead to in a document: its headings, as GitHub names them."""
    headings = HEADING.findall(ANY_BLOCK.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", WITH_LINKS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for name, place in LINK.findall(ANY_BLOCK.sub("", path.read_text("utf-8"))):
        target = path.parent / name if name else path
        if not target.exists() or (place and place not in places_of(target)):
            broken.append(f"{name}#{place}")
    assert broken == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/how-to/*.md")), ids=lambda path: path.name)
def test_every_how_to_page_can_be_reached_from_the_readme(path: Path) -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "quickstart.md", *ROOT.glob("docs/how-to/*.md")]
    linked = {(page.parent / name).resolve() for page in pages for name, _ in LINK.findall(page.read_text("utf-8"))}
    assert path in linked
