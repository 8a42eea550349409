"""What the config of a control task asks for once its expressions have values. Meets `ports.controls.ControlConfigs`.

The models are those that definitions are checked by. Messages name fields, never values: they are shown to all who may
read the run, and a value may be masked there.
"""

from collections.abc import Callable, Mapping
from functools import reduce

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from millrace.core.controls import APPROVAL, SLEEP, SUB_WORKFLOW, UNTIL, WAIT_FOR_EVENT
from millrace.core.values import JsonObject
from millrace.definition.configs import judge_of, one_a_place
from millrace.definition.controls.configs import (
    ApprovalConfig,
    SignalConfig,
    SleepConfig,
    SubWorkflowConfig,
    UntilConfig,
    WaitForEventConfig,
)
from millrace.definition.controls.fields import instant_of, sleep_length
from millrace.definition.controls.kinds import CONTROL_CONFIGS
from millrace.definition.expectations import CHOICES, EXPECTED, LIMITS, beyond, choices_in, meant, one_of
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.inputs import check_schema
from millrace.ports.controls import (
    AskApproval,
    AwaitEvent,
    AwaitSignal,
    InvalidControl,
    Meaning,
    SendSignal,
    SleepFor,
    SleepUntil,
    StartChild,
)
from millrace.ports.event_patterns import listed


class ControlMeanings:
    def meaning(self, task_type: str, config: JsonObject) -> Meaning:
        """What a rendered config asks for. Raises `InvalidControl`; `KeyError` for a type whose config asks nothing."""
        read = _READERS[task_type]
        model = CONTROL_CONFIGS[task_type]
        try:
            found = model.model_validate(config)
        except ValidationError as error:
            raise InvalidControl(_said(config, error)) from None
        judge = judge_of(model)
        if judge is not None:
            told = [f"config.{fault.field}: {fault.message}; {fault.remedy}" for fault in judge.certain_faults(config)]
            if told:
                raise InvalidControl("; ".join(told))
        return read(found)


def _sleep(config: SleepConfig) -> Meaning:
    return SleepFor(sleep_length(config.duration))


def _until(config: UntilConfig) -> Meaning:
    return SleepUntil(instant_of(config.time))


def _wait(config: WaitForEventConfig) -> Meaning:
    if config.signal is not None:
        return AwaitSignal(config.signal)
    return AwaitEvent(
        types=tuple(dict.fromkeys(listed(config.type))),
        key=None if config.key is None else str(config.key),
        source=listed(config.source),
        subject=listed(config.subject),
    )


def _approval(config: ApprovalConfig) -> Meaning:
    if config.form is not None:
        faults = FaultList()
        check_schema(config.form, "config.form", faults)
        if faults:
            raise InvalidControl("; ".join(f"{fault.path}: this is not valid JSON Schema" for fault in faults.found))
    default = None if config.default is None else config.default == "approve"
    return AskApproval(config.message, config.form, default)


def _sub_workflow(config: SubWorkflowConfig) -> Meaning:
    return StartChild(
        workflow=config.workflow,
        version=config.version,
        input=config.input,
        variables=config.variables,
        wait=config.wait,
        correlation_id=config.correlation_id,
        priority=config.priority,
    )


def _signal(config: SignalConfig) -> Meaning:
    return SendSignal(config.run, config.name, config.data)


_READERS: Mapping[str, Callable[..., Meaning]] = {
    SLEEP: _sleep,
    UNTIL: _until,
    WAIT_FOR_EVENT: _wait,
    APPROVAL: _approval,
    SUB_WORKFLOW: _sub_workflow,
    "signal": _signal,
}


def _said(config: JsonObject, error: ValidationError) -> str:
    """What is wrong at which place, without the values."""
    return "; ".join(
        f"{reduce(at, place, 'config')}: {' or '.join(dict.fromkeys(map(_reason, meant(found))))}"
        for place, found in one_a_place(config, error.errors(include_url=False)).items()
    )


def _reason(fault: ErrorDetails) -> str:
    kind, context = fault["type"], fault.get("ctx") or {}
    if kind == "missing":
        return "it is missing"
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind in CHOICES:
        return one_of(choices_in(str(context["expected"])))
    if kind in EXPECTED:
        return f"it must be {EXPECTED[kind]}, not {kind_of(fault['input'])}"
    if kind in LIMITS:
        return beyond("it", kind, context, fault["input"])
    return f"{fault['msg']}; {context['remedy']}" if "remedy" in context else fault["msg"]
