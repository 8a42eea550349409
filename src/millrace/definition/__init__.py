"""Definitions: what users write, checked and normalised once, at the edge.

reading     JSON and YAML to values
shapes      the accepted shapes to the canonical one
model       the canonical shape, field by field        structure   its faults, by the words of expectations
validation  everything else that can be wrong, found at once: naming, tasks, readers, references, triggers
controls    the tasks that the engine does itself
stored      the result                                 compiling   -> core.plan
"""

from millrace.core.durations import parse_duration
from millrace.definition.compiling import compile_plan
from millrace.definition.controls.kinds import CONTROL_CONFIGS, CONTROL_SUMMARIES, ControlTypes
from millrace.definition.controls.meanings import ControlMeanings
from millrace.definition.faults import InvalidDefinition
from millrace.definition.hashing import content_hash
from millrace.definition.inputs import check_overrides, validate_form, validate_input
from millrace.definition.json_schema import definition_json_schema
from millrace.definition.names import slugify
from millrace.definition.reading import read_json, read_yaml
from millrace.definition.shapes.accepted import merged
from millrace.definition.stored import Definition, stored_definition
from millrace.definition.validation import Validated, validate

__all__ = [
    "CONTROL_CONFIGS",
    "CONTROL_SUMMARIES",
    "ControlMeanings",
    "ControlTypes",
    "Definition",
    "InvalidDefinition",
    "Validated",
    "check_overrides",
    "compile_plan",
    "content_hash",
    "definition_json_schema",
    "merged",
    "parse_duration",
    "read_json",
    "read_yaml",
    "slugify",
    "stored_definition",
    "validate",
    "validate_form",
    "validate_input",
]
