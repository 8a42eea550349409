"""Dry runs: what a run of a workflow would do, told and not done. Nothing is stored, and nothing handed to anybody."""

from typing import Any

from millrace.app.plans import CompiledVersion
from millrace.app.runs.making import check_values, without_redacted
from millrace.app.test_runs.foresight.endings import BADLY, WELL, Endings
from millrace.app.test_runs.foresight.found import SKIPPED, WHEN_RUN, Listed, make_unsure, view_of
from millrace.app.test_runs.foresight.seeing import Renderer, Seen, Value
from millrace.app.test_runs.foresight.tasks import Foresight
from millrace.app.test_runs.starting import TestRequest, TestVersions, derive
from millrace.app.workflows.repository import WorkflowRow
from millrace.auth.secrets import SecretChain
from millrace.core.plan import Phase
from millrace.core.values import JsonObject, to_iso
from millrace.definition import ControlMeanings, compile_plan, validate_input
from millrace.ports.clock import Clock
from millrace.ports.evaluator import Evaluator, Scope
from millrace.ports.runner import RunnerRegistry
from millrace.ports.secrets import SecretUse

NOTHING_FAILS = "nothing is known to fail"


class DryRuns:
    def __init__(
        self, versions: TestVersions, evaluator: Evaluator, runners: RunnerRegistry, secrets: SecretChain, clock: Clock
    ) -> None:
        self._versions = versions
        self._renderer = Renderer(evaluator)
        self._runners = runners
        self._secrets = secrets
        self._clock = clock

    async def of(self, reference: str, request: TestRequest, *, by: str, iterations: int) -> JsonObject:
        """What a run that is started now would do; of a foreach, `iterations` are told of.

        Raises as the start of a test run does.
        """
        workflow, version = await self._versions.find(reference, request)
        test = derive(version.definition, request.asked)
        redact = version.plan.redact
        given = without_redacted(validate_input(version.definition, request.input), redact.input)
        variables = without_redacted({**version.definition.variables, **request.variables}, redact.variables)
        scope = self._scope(workflow, version, given, variables, by)
        plan = compile_plan(test.definition, test.terms)
        foresight = Foresight(plan, self._renderer, self._runners, CONTROLS, iterations)
        told = await _Phases(foresight, Seen(scope)).told()
        unusable = await self._secrets.unusable(
            frozenset(foresight.secrets), SecretUse(workflow.name, "a dry run", keeps_to_hosts=True)
        )
        return {
            "workflow": {"id": workflow.id, "name": workflow.name},
            "version": version.number,
            "input": given,
            "variables": variables,
            **told,
            "warnings": sorted(unusable.values()),
        }

    def _scope(
        self, workflow: WorkflowRow, version: CompiledVersion, given: JsonObject, variables: JsonObject, by: str
    ) -> Scope:
        check_values(input=given, variables=variables)
        return Scope(
            input=given,
            variables=variables,
            run={
                "workflow": {"id": workflow.id, "name": workflow.name, "version": version.number},
                "correlation_id": None,
            },
            trigger={"id": None, "type": "manual", "time": to_iso(self._clock.now()), "user_id": by},
        )


CONTROLS = ControlMeanings()


class _Phases:
    """The parts of a run, one after the other."""

    def __init__(self, foresight: Foresight, seen: Seen) -> None:
        self._foresight = foresight
        self._seen = seen

    async def told(self) -> dict[str, Any]:
        main = await self._phase(Phase.MAIN, self._seen)
        handled = await self._handled(main.ending)
        closing = await self._phase(Phase.FINALLY, self._seen)
        output = await self._output(main.ending)
        ending = _whole([main.ending, closing.ending, BADLY if output.failure is not None else WELL])
        return {
            "outcome": ending,
            "why": main.why() or closing.why() or output.failure,
            "tasks": main.views,
            "on_failure": handled.views,
            "finally": closing.views,
            "output": output.value,
            "unrendered": output.unrendered,
        }

    async def _phase(self, phase: Phase, seen: Seen) -> Listed:
        return await self._foresight.listed(self._foresight.plan.tasks_of(phase), seen)

    async def _handled(self, ending: Endings) -> Listed:
        """The tasks of `on_failure`: they run if the main part fails."""
        if ending == WELL:
            plan = self._foresight.plan
            tasks = [plan.tasks[task_id] for task_id in plan.tasks_of(Phase.ON_FAILURE)]
            for own in tasks:
                self._seen.note(own.id, {"status": "skipped"})
            return Listed([view_of(own, "", SKIPPED, NOTHING_FAILS) for own in tasks], {})
        handled = await self._phase(Phase.ON_FAILURE, inner := self._seen.within())
        if ending == BADLY:
            self._seen.adopt(inner)
        else:
            make_unsure(handled.views, "it runs only if the main part fails")
            self._seen.doubt(inner, WHEN_RUN)
        return handled

    async def _output(self, ending: Endings) -> Value:
        """A run that fails has none."""
        template = self._foresight.plan.output
        if template is None or ending == BADLY:
            return Value()
        return await self._foresight.renderer.render(template, self._seen, "output")


def _whole(parts: list[Endings]) -> str:
    if BADLY in parts:
        return "failed"
    return "completed" if all(part == WELL for part in parts) else "unknown"
