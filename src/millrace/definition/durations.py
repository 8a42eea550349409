"""Lengths of time as definitions write them; the rules are the core's, for triggers write them too."""

from millrace.core.durations import (
    LONGEST,
    LONGEST_PERIOD,
    NEVER,
    PERIOD_REMEDY,
    REMEDY,
    duration_text,
    parse_duration,
    parse_period,
)

__all__ = [
    "LONGEST",
    "LONGEST_PERIOD",
    "NEVER",
    "PERIOD_REMEDY",
    "REMEDY",
    "duration_text",
    "parse_duration",
    "parse_period",
]
