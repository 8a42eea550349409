"""The examples that come with Millrace: created at the first start, and never touched again."""

import asyncio
import logging
from importlib.resources import files
from pathlib import Path

from millrace.app.workflows.commands import WorkflowCommands
from millrace.auth.shell_right import as_installation
from millrace.core.errors import Conflict, InvalidRequest
from millrace.definition import read_yaml

logger = logging.getLogger(__name__)

AUTHOR = "millrace"
CHECKOUT = Path(__file__).parents[3] / "examples"
"""Where they are in a checkout; in an installed package they lie beside the code."""


OF_THE_LANGUAGE = "language"
"""The folder of the examples that explain the definition language: they are to be read, and applied by who wants to."""


async def apply_examples(commands: WorkflowCommands, folder: Path | None) -> None:
    """Create every workflow under `folder` whose name is free."""
    for place in await asyncio.to_thread(_definitions, folder or _own_folder()):
        text = await asyncio.to_thread(place.read_text, "utf-8")
        try:
            with as_installation():
                await commands.create(read_yaml(text), by=AUTHOR)
        except Conflict:
            logger.info("the example %s is left alone: a workflow of its name exists", place.name)
        except InvalidRequest as error:
            told = "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
            logger.warning("the example %s is left out: %s: %s", place.name, error.message, told)


def _own_folder() -> Path:
    packaged = Path(str(files("millrace"))) / "examples"
    return packaged if packaged.is_dir() else CHECKOUT


def _definitions(folder: Path) -> list[Path]:
    return sorted(place for place in folder.glob("**/*.yaml") if place.parent != folder / OF_THE_LANGUAGE)
