"""Expressions to compare: some that somebody would write, and as many more as wanted, by seed."""

import random
from datetime import date, timedelta

from tests.oracle.cron_oracle import Expression

BY_HAND = (
    "0 2 * * *", "30 2 * * *", "0 3 * * *", "0 0 * * *", "30 0 * * *", "59 23 * * *", "0 1 * * *", "15 1,2,3 * * *",
    "0,30 2 * * *", "0 0-3 * * *", "45 23 L * *", "0 0 1 * *", "0 0 31 * *", "0 0 29 2 *", "0 12 30,31 * *",
    "0 2 * MAR,OCT SUN", "0 2 * 3,10 0", "30 1 * * 7", "0 0 * * 5L", "30 2 * * SUNL", "0 2 1,15 * MON",
    "0 2 */2 * MON", "0 2 1-7 * ?", "0 2 ? * MON-FRI", "0 9 * * mon-fri", "0 22 * * SAT-SUN", "0 2 31 3 *",
    "0 2 28-31 3,10 *", "30 2 25-31 3 SUN", "30 2 L 3,10 SUN", "@yearly", "@monthly", "@weekly", "@daily", "@midnight",
    "15 30 2 * * *", "59 59 2 * * SUN", "0 0 0 1 1 ?", "30 59 23 * 3,4,9,10,11 *", "0 0 2 L * *",
    "0 */6 * * *", "0 */2 * * SUN", "30 0/3 * 3,4,10,11 *", "0 1-5/2 * * *", "0 * 1 * *", "@hourly",
    "15 * * 3,4,9-11 6,0", "0 2 30 12 *", "0 0 1-7 4,9 *", "0 0 * 3,4,9,10 SUN", "30 1,2 * 4,10 SUN",
    "0 5 1 1,4,7,10 *",
)  # fmt: skip
"""Moderate ones, that can be followed over years."""

FREQUENT = (
    "* * * * *", "*/5 * * * *", "*/7 */3 * * *", "*/15 2 * * *", "*/10 0-3 * * *", "0,30 * * * *", "*/13 1,2,3 * * *",
    "*/30 * * * * *", "5 */20 * * * *", "*/15 */5 2 * * *", "0 0-59/4 1-3 * * *", "17 3/11 */2 * * *",
)  # fmt: skip
"""Those that fire so often that only the days around a change of clocks are looked at."""


def made(count: int, seed: int) -> list[str]:
    """As many moderate expressions, half of them at hours in which clocks are changed."""
    chance = random.Random(seed)
    found = dict.fromkeys(BY_HAND[:count])
    while len(found) < count:
        text = _made(chance)
        if _ever(Expression.of(text)):
            found[text] = None
    return list(found)


def _ever(expression: Expression) -> bool:
    """Whether some day is named; 30 February is not."""
    return any(expression.has_day(date(2024, 1, 1) + timedelta(days=number)) for number in range(366))


def _made(chance: random.Random) -> str:
    minute = chance.choice(
        ["0", "30", str(chance.randrange(60)), f"{chance.randrange(30)},{30 + chance.randrange(30)}"]
    )
    hour = _hour(chance)
    frequent = "*" in hour or "-" in hour or "/" in hour
    day, weekday = "*", "*"
    kind = chance.random()
    if frequent or kind < 0.45:
        day = chance.choice(["1", "15", "L", "31", "28-31", "1-7", "*/9", "8,25", "3/8", "1,L", "29", "25-31", "30"])
    elif kind < 0.9:
        weekday = chance.choice(
            ["0", "7", "SUN", "MON", "6", "SAT,SUN", "FRI-SUN", "5L", "0L", "*/3", "2/3", "6-7", "?"]
        )
    if kind > 0.75 and weekday == "*":
        weekday = chance.choice(["0", "SUN", "MONL", "4", "*/4"])
    month = chance.choice(["*", "*", "*", "3,4,9-11", "MAR,OCT", "*/5", "JAN-MAR", "2/3", "10", "4"])
    fields = [minute, hour, day, month, weekday]
    return " ".join([str(chance.randrange(60)), *fields] if chance.random() < 0.15 else fields)


def _hour(chance: random.Random) -> str:
    near = str(chance.choice([0, 1, 2, 3, 23]))
    return chance.choice(
        [near, near, near, near, str(chance.randrange(24)), "1,2", "0-3", "2,3,14", "*/12", "*/5", "2/7", "1-23/6"]
    )
