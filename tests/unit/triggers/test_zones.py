"""What is known of zones: against the tables of the tz database themselves, read without `zoneinfo`."""

import struct
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from zoneinfo import TZPATH

import pytest

from millrace.triggers.zones import AHEAD, DAY, PROBE, Zone, zone_names

LONG_AGO, RECENT, LAST = -3_155_673_600, 1_577_836_800, 2_145_916_800
"""1870, 2020 and 2038: the tables say what was and what is decided; what follows is a rule, the same each year."""

NAMES = sorted(zone_names())


def file_of(name: str) -> bytes:
    """The file that `zoneinfo` takes: the system's, or that of the package."""
    for folder in TZPATH:
        place = Path(folder, name)
        if place.is_file():
            return place.read_bytes()
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def table(name: str) -> Iterator[tuple[int, int]]:
    """The changes of a zone's offset, as its file has them: when, and to what."""
    data = file_of(name)
    counts = struct.unpack(">6l", data[20:44])
    start = 44 + counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0]
    _, _, _, times, types, _ = struct.unpack(">6l", data[start + 20 : start + 44])
    body = start + 44
    moments = struct.unpack(f">{times}q", data[body : body + 8 * times])
    kinds = data[body + 8 * times : body + 9 * times]
    offsets = [
        struct.unpack(">l", data[place : place + 4])[0]
        for place in range(body + 9 * times, body + 9 * times + 6 * types, 6)
    ]
    offset = offsets[0]
    for moment, kind in zip(moments, kinds, strict=True):
        if offsets[kind] != offset:
            offset = offsets[kind]
            yield moment, offset


def found(zone: Zone, first: int, last: int) -> Iterator[tuple[int, int]]:
    stretch = zone.stretch(first)
    while stretch.end <= last:
        offset = stretch.offset
        stretch = zone.stretch(stretch.end)
        if stretch.offset != offset:
            yield stretch.start, stretch.offset


def test_there_are_zones() -> None:
    assert len(NAMES) > 500


@pytest.mark.parametrize("region", sorted({name.split("/")[0] for name in NAMES}))
def test_every_change_of_every_zone_is_found(region: str) -> None:
    for number, name in enumerate(name for name in NAMES if name.split("/")[0] == region):
        first = RECENT if number % 20 else LONG_AGO
        decided = [change for change in table(name) if first < change[0] < LAST]
        last = decided[-1][0] if decided else LAST
        assert list(found(Zone(name), first, last)) == decided, name


def test_no_two_changes_are_so_near_that_one_could_be_overlooked() -> None:
    nearest = min(
        later - earlier
        for name in NAMES
        for changes in [[moment for moment, _ in table(name)]]
        for earlier, later in pairwise(changes)
    )
    assert nearest > 2 * PROBE
    assert nearest > 3 * DAY, "an overlap of two changes would be a time that is shown three times"


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "UTC"])
def test_stretches_lie_side_by_side_whatever_is_asked_first(name: str) -> None:
    forth, back = Zone(name), Zone(name)
    moments = range(0, LAST, 37 * DAY)
    for moment in reversed(moments):
        back.stretch(moment)
    for moment in moments:
        stretch = forth.stretch(moment)
        assert stretch.start <= moment < stretch.end
        assert stretch.offset == back.stretch(moment).offset


AUTUMN = 1_792_890_000
"""25 October 2026, 01:00 UTC: the clocks of Berlin go back from 03:00 to 02:00."""


@pytest.mark.parametrize("asked_first", [AUTUMN - AHEAD - 600, AUTUMN - AHEAD + 600, AUTUMN + AHEAD - 600])
def test_a_change_near_the_end_of_what_is_known_is_seen(asked_first: int) -> None:
    zone = Zone("Europe/Berlin")
    zone.stretch(asked_first)
    before, after = zone.stretch(AUTUMN - 1200), zone.stretch(AUTUMN + 1200)
    assert (before.offset, before.end, before.after) == (7200, AUTUMN, 3600)
    assert (after.before, after.start, after.offset) == (7200, AUTUMN, 3600)
    assert before.shown_twice(AUTUMN - 1200 + 7200)
    assert after.shown_twice(AUTUMN + 1200 + 3600)
