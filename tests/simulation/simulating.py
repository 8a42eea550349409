"""One seed from beginning to end: `simulate` answers the digest of its story, or raises what it found."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.story import Story
from tests.simulation.weather import Weather, weather
from tests.simulation.world import World, errors_are_problems


@dataclass(frozen=True, slots=True)
class Told:
    """How a story went."""

    digest: str
    runs: int
    commits: int
    deaths: int


def simulate(seed: str, given: Weather | None = None, *, tell: Callable[[str], None] | None = None) -> Told:
    """Raises `AssertionError` with what was found. `tell` hears every step."""
    world = World(seed, given or weather(random.Random(f"weather {seed}")), tell=tell)
    story = Story(world)
    try:
        with errors_are_problems(world):
            story.tell()
            world.end()
            world.examine()
    finally:
        world.end()
    (runs,) = world.database.raw.execute("select count(*) from runs").fetchone()
    return Told(world.digest, runs, world.commits, world.deaths)
