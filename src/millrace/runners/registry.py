"""The task types of this installation: every entry point of the group `millrace.runners`, built-in or plug-in.

A plug-in that cannot be used is named in the log and in the list of task types, with the reason, and else left out: one
broken package must not take the others along.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from millrace.ports.runner import BUILT_IN, AnyRunner, ListedType, RunnerServices

logger = logging.getLogger(__name__)

GROUP = "millrace.runners"
OWN_PACKAGE = "millrace.runners."


LONGEST_PROBLEM = 300


class EntryPointRegistry:
    """Meets `ports.runner.RunnerRegistry` and `TypeSource`. Runners are made once, when the registry is."""

    def __init__(self, services: RunnerServices, points: Iterable[EntryPoint] | None = None) -> None:
        """`points`: the entry points to use; all installed ones by default."""
        found = tuple(entry_points(group=GROUP) if points is None else points)
        reserved = frozenset(point.name for point in found if _is_own(point))
        runners: dict[str, AnyRunner] = {}
        self._listed: list[ListedType] = []
        # The built-in types come first, and keep their names even where one cannot be loaded.
        for point in sorted(found, key=lambda one: (not _is_own(one), one.name, one.value)):
            runner = _loaded(point, services)
            if not isinstance(runner, ListedType) and (
                runner.type in runners or (runner.type in reserved and not _is_own(point))
            ):
                logger.error("the task type %s of %s is left out: there is one already", runner.type, point.value)
                runner = _unusable(runner.type, point, "there is a task type of this name already")
            if isinstance(runner, ListedType):
                self._listed.append(runner)
                continue
            runners[runner.type] = runner
            self._listed.append(ListedType(runner.type, runner.summary, _origin(point), runner.config_model))
        self._runners = MappingProxyType(runners)

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners

    def listed(self) -> Iterable[ListedType]:
        return tuple(self._listed)

    async def close(self) -> None:
        """Close every runner; one that fails does not keep the others open."""
        for runner in self._runners.values():
            try:
                await runner.close()
            except Exception:
                logger.exception("the runner of %s could not be closed", runner.type)


def _is_own(point: EntryPoint) -> bool:
    return point.value.startswith(OWN_PACKAGE)


def _origin(point: EntryPoint) -> str:
    """The package that an entry point belongs to; the module it names, if no package is known."""
    if _is_own(point):
        return BUILT_IN
    package = point.dist
    return point.module.partition(".")[0] if package is None else f"{package.name} {package.version}"


def _unusable(name: str, point: EntryPoint, problem: str) -> ListedType:
    problem = " ".join(problem.split())
    shown = problem if len(problem) <= LONGEST_PROBLEM else f"{problem[:LONGEST_PROBLEM]}…"
    return ListedType(name, "", _origin(point), None, shown)


def _loaded(point: EntryPoint, services: RunnerServices) -> AnyRunner | ListedType:
    """The runner, or, of a plug-in that cannot be used, what the list says about it."""
    try:
        made = point.load()
        runner: AnyRunner = made(services) if _wants_services(made) else made()
        _check(runner)
        if not _is_own(point):
            runner.config_model.model_json_schema()
    except (Exception, SystemExit) as error:
        logger.exception("the task type %s (%s) cannot be loaded and is left out", point.name, point.value)
        return _unusable(point.name, point, f"{type(error).__name__}: {error}")
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
