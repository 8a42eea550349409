"""The task types that do nothing beyond this process: noop, log and transform."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.ports.runner import AnyRunner, Completed, RunnerContext
from millrace.runners.log import LogConfig, LogRunner
from millrace.runners.noop import NoopConfig, NoopRunner
from millrace.runners.transform import TransformConfig, TransformRunner

VALUES = [None, True, 0, -1.5, "", "text", [], {}, [1, {"a": [None]}], {"output": {"deep": ["ü"]}}]


@dataclass
class Log:
    lines: list[tuple[str, str, object]] = field(default_factory=list)

    def __call__(self, text: str, *, level: str = "info", metadata: object = None) -> None:
        self.lines.append((text, level, metadata))


def at_once(runner: AnyRunner, config: object, log: Log) -> object:
    """Run as the worker runs an instant task: without an event loop, in one step."""
    assert runner.instant
    work = runner.run(config, RunnerContext("run", "task", 1, log))
    with pytest.raises(StopIteration) as stopped:
        work.send(None)
    outcome = stopped.value.value
    assert isinstance(outcome, Completed)
    return outcome.output


@pytest.mark.parametrize("value", VALUES)
def test_noop_and_transform_hand_a_value_on_as_it_is(value: Any) -> None:
    log = Log()
    for runner, config in (
        (NoopRunner(), NoopConfig(output=value)),
        (TransformRunner(), TransformConfig(output=value)),
    ):
        output = at_once(runner, config, log)
        assert output == value
        assert type(output) is type(value)
    assert log.lines == []


def test_noop_needs_no_config_and_transform_an_output() -> None:
    assert at_once(NoopRunner(), NoopConfig(), Log()) is None
    with pytest.raises(ValidationError, match="output"):
        TransformConfig()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("message", "text"),
    [("grüße", "grüße"), ("", ""), (7, "7"), (None, "null"), (True, "true"), ({"a": ["ü"]}, '{"a": ["ü"]}')],
)
def test_log_writes_text_as_it_is_and_the_rest_as_json(message: Any, text: str) -> None:
    log = Log()
    assert at_once(LogRunner(), LogConfig(message=message), log) is None
    assert log.lines == [(text, "info", None)]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_log_keeps_level_and_metadata(level: Any) -> None:
    log = Log()
    at_once(LogRunner(), LogConfig(message="x", level=level, metadata={"order": 7}), log)
    assert log.lines == [("x", level, {"order": 7})]


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (LogConfig, {}),
        (LogConfig, {"message": "x", "level": "fatal"}),
        (LogConfig, {"message": "x", "metadata": [1]}),
        (LogConfig, {"message": "x", "unknown": 1}),
        (NoopConfig, {"unknown": 1}),
        (TransformConfig, {"output": 1, "unknown": 1}),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(model: Any, config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**config)


@pytest.mark.parametrize("runner", [NoopRunner(), LogRunner(), TransformRunner()])
async def test_closing_is_harmless(runner: AnyRunner) -> None:
    await runner.close()
