"""The task types of this installation: every entry point of the group `millrace.runners`, built-in or plug-in.

A plug-in that cannot be loaded is left out and named in the log: one broken package must not take the others along.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from millrace.ports.runner import AnyRunner, RunnerServices

logger = logging.getLogger(__name__)

GROUP = "millrace.runners"
OWN_PACKAGE = "millrace.runners."


class EntryPointRegistry:
    """Meets `ports.runner.RunnerRegistry`. Runners are made once, when the registry is."""

    def __init__(self, services: RunnerServices, points: Iterable[EntryPoint] | None = None) -> None:
        """`points`: the entry points to use; all installed ones by default."""
        found = tuple(entry_points(group=GROUP) if points is None else points)
        reserved = frozenset(point.name for point in found if _is_own(point))
        runners: dict[str, AnyRunner] = {}
        # The built-in types come first, and keep their names even where one cannot be loaded.
        for point in sorted(found, key=lambda one: (not _is_own(one), one.name, one.value)):
            runner = _loaded(point, services)
            if runner is None:
                continue
            if runner.type in runners or (runner.type in reserved and not _is_own(point)):
                logger.error("the task type %s of %s is left out: there is one already", runner.type, point.value)
                continue
            runners[runner.type] = runner
        self._runners = MappingProxyType(runners)

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners

    async def close(self) -> None:
        """Close every runner; one that fails does not keep the others open."""
        for runner in self._runners.values():
            try:
                await runner.close()
            except Exception:
                logger.exception("the runner of %s could not be closed", runner.type)


def _is_own(point: EntryPoint) -> bool:
    return point.value.startswith(OWN_PACKAGE)


def _loaded(point: EntryPoint, services: RunnerServices) -> AnyRunner | None:
    try:
        made = point.load()
        runner: AnyRunner = made(services) if _wants_services(made) else made()
        _check(runner)
    except (Exception, SystemExit):
        logger.exception("the task type %s (%s) cannot be loaded and is left out", point.name, point.value)
        return None
    return runner


def _wants_services(made: Callable[..., object]) -> bool:
    """Whether a constructor takes an argument by position. (One that a protocol gives to its subclasses takes any.)"""
    return any(
        parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(made).parameters.values()
    )


def _check(runner: Any) -> None:
    """Raise `TypeError` for what is no runner: better here than at its first task."""
    if not isinstance(runner.type, str) or not runner.type:
        raise TypeError(f"`type` must be the name of the task type, not {runner.type!r}")
    if not isinstance(runner.summary, str):
        raise TypeError("`summary` must be text")
    if not (isinstance(runner.config_model, type) and issubclass(runner.config_model, BaseModel)):
        raise TypeError("`config_model` must be a pydantic model")
    if not isinstance(runner.instant, bool):
        raise TypeError("`instant` must be True or False")
    if not isinstance(runner.literal_fields, frozenset):
        raise TypeError("`literal_fields` must be a frozenset of names")
    if not inspect.iscoroutinefunction(runner.run) or not inspect.iscoroutinefunction(runner.close):
        raise TypeError("`run` and `close` must be async methods")
