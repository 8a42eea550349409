"""`noop`: does nothing, well. For graphs that need a joint, and for measuring what surrounds the work."""

from typing import Any, ClassVar

from pydantic import Field

from millrace.ports.runner import Completed, ConfigModel, Outcome, RunnerContext
from millrace.runners.task_config import TaskConfig


class NoopConfig(TaskConfig):
    output: Any = Field(default=None, description="The task's output, as it is.")


class NoopRunner:
    type: ClassVar[str] = "noop"
    summary: ClassVar[str] = "Does nothing."
    config_model: ClassVar[ConfigModel] = NoopConfig
    instant: ClassVar[bool] = True
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    async def run(self, config: NoopConfig, context: RunnerContext) -> Outcome:
        return Completed(config.output)

    async def close(self) -> None:
        """Holds nothing."""
