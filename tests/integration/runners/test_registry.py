"""The registry of task types: what is installed, what is left out and said so, and what it lends to its runners."""

import logging
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

import pytest
from pydantic import BaseModel

from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import Completed, ConfigModel, Outcome, Runner, RunnerContext, RunnerServices
from millrace.runners.registry import GROUP, EntryPointRegistry

BUILT_IN = {"database", "http", "log", "noop", "shell", "transform"}


class Config(BaseModel):
    text: str = ""


class Plain:
    """A plug-in as small as it can be."""

    type: ClassVar[str] = "plain"
    summary: ClassVar[str] = "Says what it is given."
    config_model: ClassVar[ConfigModel] = Config
    instant: ClassVar[bool] = True
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    closed: ClassVar[list[str]] = []

    async def run(self, config: Config, context: RunnerContext) -> Outcome:
        return Completed(config.text)

    async def close(self) -> None:
        Plain.closed.append(type(self).__name__)


class WithServices(Plain):
    type = "with_services"

    def __init__(self, services: RunnerServices) -> None:
        self.services = services


class WithKeywordOnly(Plain):
    type = "with_keyword_only"

    def __init__(self, *, size: int = 3) -> None:
        self.size = size


class Declared(Plain, Runner[Config]):
    """Says by inheritance that it is a runner, and needs no services."""

    type = "declared"


class DeclaredWithServices(Plain, Runner[Config]):
    type = "declared_with_services"

    def __init__(self, services: RunnerServices) -> None:
        self.services = services


class Thief(Plain):
    type = "http"


class Twin(Plain):
    type = "plain"


class ClosesBadly(Plain):
    type = "closes_badly"

    async def close(self) -> None:
        raise ValueError("stuck")


class RaisesWhenMade(Plain):
    def __init__(self) -> None:
        raise ValueError("not today")


class NeedsMore(Plain):
    def __init__(self, services: RunnerServices, more: int) -> None:
        self.more = more


class WithoutType:
    summary = "x"


class UnhashableType(Plain):
    type: ClassVar[list[str]] = ["x"]  # type: ignore[assignment]


class WithoutModel(Plain):
    config_model = dict  # type: ignore[assignment]


class NotAsync(Plain):
    def run(self, config: Config, context: RunnerContext) -> Outcome:  # type: ignore[override]
        return Completed()


class Fields(Plain):
    literal_fields: ClassVar[list[str]] = ["sql"]  # type: ignore[assignment]


def point(made: object, name: str | None = None) -> EntryPoint:
    qualified = getattr(made, "__qualname__", str(made))
    return EntryPoint(name or getattr(made, "type", "broken"), f"{__name__}:{qualified}", GROUP)


@pytest.fixture
def services() -> RunnerServices:
    addresses = AddressPolicy()
    return RunnerServices(GuardedHttpClient(addresses), addresses, sqlite_allowed_dirs=(), own_database=Path("/x"))


def test_the_built_in_types_are_found(services: RunnerServices) -> None:
    registry = EntryPointRegistry(services)
    assert registry.types().keys() >= BUILT_IN
    for name in BUILT_IN:
        runner = registry.get(name)
        assert runner is not None
        assert runner.type == name
        assert runner.config_model.model_json_schema()["properties"]
    assert registry.get("nonsense") is None


def test_plug_ins_are_found_with_and_without_services(services: RunnerServices) -> None:
    made = (Plain, WithServices, WithKeywordOnly, Declared, DeclaredWithServices)
    registry = EntryPointRegistry(services, map(point, made))
    assert registry.types().keys() == {one.type for one in made}
    for name in ("with_services", "declared_with_services"):
        assert registry.get(name).services is services  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "broken",
    [RaisesWhenMade, NeedsMore, WithoutType, UnhashableType, WithoutModel, NotAsync, Fields, "NoSuchClass"],
)
def test_a_broken_plug_in_is_left_out_and_named(
    services: RunnerServices, broken: object, caplog: pytest.LogCaptureFixture
) -> None:
    registry = EntryPointRegistry(services, [point(broken, "broken"), point(Plain)])
    assert registry.types().keys() == {"plain"}
    assert [one.type for one in registry.listed() if one.problem is not None] == ["broken"]
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "broken" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "content", ["import no_such_module_anywhere", "raise RuntimeError('no')", "import sys; sys.exit(3)"]
)
def test_a_plug_in_whose_module_does_not_load_is_left_out(
    services: RunnerServices, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaking_plug_in.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    registry = EntryPointRegistry(services, [EntryPoint("x", "breaking_plug_in:Runner", GROUP), point(Plain)])
    assert registry.types().keys() == {"plain"}


def test_no_plug_in_takes_the_name_of_a_built_in_type(
    services: RunnerServices, caplog: pytest.LogCaptureFixture
) -> None:
    registry = EntryPointRegistry(services, [point(Thief, "aaa"), *entry_points(group=GROUP)])
    assert type(registry.get("http")).__name__ == "HttpRunner"
    assert "the task type http of" in caplog.text
    (thief,) = [one for one in registry.listed() if one.problem is not None]
    assert (thief.type, thief.problem) == ("http", "there is a task type of this name already")


def test_not_even_when_the_built_in_type_does_not_load(services: RunnerServices) -> None:
    broken = EntryPoint("http", "millrace.runners.no_such_module:HttpRunner", GROUP)
    assert EntryPointRegistry(services, [point(Thief, "aaa"), broken]).types() == {}


def test_of_two_plug_ins_with_one_name_the_same_one_stays_every_time(services: RunnerServices) -> None:
    points = [point(Twin, "twin"), point(Plain)]
    kept = {type(EntryPointRegistry(services, order).get("plain")) for order in (points, points[::-1])}
    assert kept == {Plain}


async def test_closing_closes_every_runner(services: RunnerServices, caplog: pytest.LogCaptureFixture) -> None:
    Plain.closed.clear()
    await EntryPointRegistry(services, map(point, (ClosesBadly, Plain, WithServices))).close()
    assert sorted(Plain.closed) == ["Plain", "WithServices"]
    assert "closes_badly could not be closed" in caplog.text


def test_an_installed_plug_in_is_found_by_its_entry_point(
    services: RunnerServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip leaves it behind: a module, and the metadata that name it."""
    (tmp_path / "greeting_plug_in.py").write_text(
        dedent(
            """
            from pydantic import BaseModel

            from millrace.ports.runner import Completed


            class Config(BaseModel):
                name: str


            class Greeting:
                type = "greeting"
                summary = "Greets."
                config_model = Config
                instant = True
                literal_fields = frozenset()

                async def run(self, config, context):
                    return Completed(f"hello {config.name}")

                async def close(self):
                    pass
            """
        )
    )
    metadata = tmp_path / "greeting_plug_in-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting-plug-in\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[millrace.runners]\ngreeting = greeting_plug_in:Greeting\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = EntryPointRegistry(services)
    assert registry.types().keys() >= BUILT_IN | {"greeting"}
    listed = {one.type: one for one in registry.listed()}
    assert (listed["greeting"].origin, listed["noop"].origin) == ("greeting-plug-in 1.0", "built-in")
