"""`transform`: makes values of values. The expressions in its config have done the work before it is called."""

from typing import Any, ClassVar

from pydantic import Field

from millrace.ports.runner import Completed, ConfigModel, Outcome, RunnerContext
from millrace.runners.task_config import TaskConfig


class TransformConfig(TaskConfig):
    output: Any = Field(description="The task's output; its strings may hold expressions, at any depth.")


class TransformRunner:
    type: ClassVar[str] = "transform"
    summary: ClassVar[str] = "Computes a value with expressions."
    config_model: ClassVar[ConfigModel] = TransformConfig
    instant: ClassVar[bool] = True
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    async def run(self, config: TransformConfig, context: RunnerContext) -> Outcome:
        return Completed(config.output)

    async def close(self) -> None:
        """Holds nothing."""
