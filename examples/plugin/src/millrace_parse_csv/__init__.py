"""`parse_csv`: makes rows of CSV text. An example of a task type that comes from a package of its own."""

import csv
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext


class ParseCsvConfig(BaseModel):
    """What `config` takes. Descriptions are shown to users; the rest is checked when a workflow is saved, and again,
    with the values of its expressions, before each attempt. Errors never show what was given: it may be a secret."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: str = Field(description="The CSV text.", examples=["{{ tasks.fetch.output.body }}"])
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="What stands between two cells.")
    header: bool = Field(default=True, description="The first line has the names of the columns.")


class ParseCsv:
    type: ClassVar[str] = "parse_csv"
    summary: ClassVar[str] = "Makes rows of CSV text."
    config_model: ClassVar[ConfigModel] = ParseCsvConfig
    instant: ClassVar[bool] = True
    """`run` never waits for anything."""
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    """No field is handed to an interpreter; expressions are replaced in all of them."""

    async def run(self, config: ParseCsvConfig, context: RunnerContext) -> Outcome:
        lines = list(csv.reader(config.text.splitlines(), delimiter=config.delimiter))
        if not config.header:
            return Completed({"rows": [*lines]})
        names, rows = (lines[0], lines[1:]) if lines else ([], [])
        for number, row in enumerate(rows, 2):
            if len(row) != len(names):
                return Failed.because(f"line {number} has {len(row)} cells; the header has {len(names)}")
        context.log(f"{len(rows)} rows")
        return Completed({"rows": [dict(zip(names, row, strict=True)) for row in rows]})

    async def close(self) -> None:
        """Holds nothing open."""
