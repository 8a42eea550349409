"""`log`: writes a line into the run's log."""

import json
from typing import Any, ClassVar

from pydantic import Field

from millrace.ports.runner import Completed, ConfigModel, LogLevel, Outcome, RunnerContext
from millrace.runners.task_config import TaskConfig


class LogConfig(TaskConfig):
    message: Any = Field(description="The line; text as it is, any other value as JSON.")
    level: LogLevel = Field(default="info", description="How serious it is.")
    metadata: dict[str, Any] | None = Field(default=None, description="Values kept with the line, to search by.")


class LogRunner:
    type: ClassVar[str] = "log"
    summary: ClassVar[str] = "Writes a line into the log of the run."
    config_model: ClassVar[ConfigModel] = LogConfig
    instant: ClassVar[bool] = True
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    async def run(self, config: LogConfig, context: RunnerContext) -> Outcome:
        message = config.message
        text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
        context.log(text, level=config.level, metadata=config.metadata)
        return Completed()

    async def close(self) -> None:
        """Holds nothing."""
