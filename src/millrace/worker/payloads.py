"""What an attempt hands in, lightened: payloads too large for their row are put away before the report is made."""

from dataclasses import replace

import orjson

from millrace.core.values import JsonValue
from millrace.ports.payloads import Payloads
from millrace.ports.worker import Report


async def lightened(report: Report, payloads: Payloads, *, output_size: int) -> Report:
    """The report with texts in place of large payloads. `output_size`: bytes of JSON, so it is not measured again."""
    payload, attempt = report.payload, report.attempt
    limit = payloads.largest_in_row
    texts = {}
    content = _dumped(payload.input)
    if len(content) > limit:
        texts["input_text"] = await payloads.put_away_of_attempt(attempt, "input", content)
    if output_size > limit and payload.output is not None:
        texts["output_text"] = await payloads.put_away_of_attempt(attempt, "output", _dumped(payload.output))
    return replace(report, payload=replace(payload, **texts)) if texts else report


def _dumped(value: JsonValue) -> bytes:
    """Nothing for what is no JSON: the store refuses it, and says so in the run."""
    try:
        return b"" if value is None else orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b""
