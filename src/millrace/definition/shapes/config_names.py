"""Fields of a config that other programs call otherwise get their canonical names here.

One thing said twice, by two of its names, is a fault: nobody could tell which was meant.
"""

from collections.abc import Mapping

from millrace.core.values import JsonObject
from millrace.definition.faults import FaultList, at
from millrace.definition.shapes.rewritten import Places


def with_canonical_names(
    config: JsonObject, names: Mapping[str, str], path: str, original: str, places: Places, faults: FaultList
) -> JsonObject:
    """`config` by the canonical names, without what is null. `path` is where it goes, `original` where it stands."""
    made: JsonObject = {}
    said: dict[str, str] = {}
    for key, value in config.items():
        name = names.get(key, key)
        if value is None:
            continue
        if name in made:
            message = f"{key} and {said[name]} say the same thing"
            faults.add(at(original, key), "contradiction", message, f"write one of them; here it is called {name}")
            continue
        made[name] = value
        said[name] = key
        if name != key:
            places[at(path, name)] = at(original, key)
    return made
