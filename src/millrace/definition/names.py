"""Names: the ids of tasks, and the slugs that are made from the names of workflows."""

import hashlib
import re
import unicodedata

TASK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_TASK_ID = frozenset({"true", "false", "null", "in"})
"""Words of the expression language."""

LONGEST_TASK_ID = 200
LONGEST_SLUG = 80

_WORD = re.compile(r"[a-z0-9]+")


def slugify(name: str) -> str:
    """Lower-case letters, digits and dashes, never empty; a name that has none of them gets letters of its hash."""
    return slug_words(name) or f"workflow-{hash_of(name)}"


def slug_words(name: str) -> str:
    """The words of a name that ASCII can write, with dashes between them; there may be none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(_WORD.findall(plain))[:LONGEST_SLUG].strip("-")


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def task_id_from(name: str, what: str = "task") -> str:
    """An id made from any name: `Load orders!` becomes `load_orders`, `1 a` becomes `task_1_a`."""
    words = slug_words(name).replace("-", "_")
    if not words:
        return f"{what}_{hash_of(name)}"
    return f"{what}_{words}" if words[0].isdigit() or words in NO_TASK_ID else words


def numbered(base: str, taken: set[str], counts: dict[str, int]) -> str:
    """`base`, or `base_2`, `base_3`, …: the first that is not taken; it is taken from now on.

    `counts` remembers the last number of each base, so that thousands of equal names are not counted anew each time.
    """
    made, count = base, counts.get(base, 1)
    while made in taken:
        count += 1
        made = f"{base}_{count}"
    counts[base] = count
    taken.add(made)
    return made


def is_task_id(text: str) -> bool:
    return TASK_ID.fullmatch(text) is not None and text not in NO_TASK_ID and len(text) <= LONGEST_TASK_ID
