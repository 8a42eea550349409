"""`make chaos`: real processes under real faults, for as long and as often as asked.

python -m tests.fault.chaos --seconds 60 --seed 7 [--times 10] [--lease 15] [--roles up,up,up] [--keep FOLDER]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.fault.chaos.story import RECOVERS_WITHIN, Plan, chaos


def main() -> None:
    parser = argparse.ArgumentParser(prog="make chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="in which faults happen")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="so many seeds, one after the other")
    parser.add_argument("--lease", type=int, default=15, help="of the workers, in seconds")
    parser.add_argument("--roles", help="of the processes, such as up,up,up or api,scheduler,worker")
    parser.add_argument("--keep", type=Path, help="folder in which the logs are left")
    asked = parser.parse_args()
    bad = 0
    for seed in range(asked.seed, asked.seed + asked.times):
        plan = Plan(seed, asked.seconds, asked.lease, None if asked.roles is None else tuple(asked.roles.split(",")))
        bad += not _once(plan, asked.keep)
    sys.exit(1 if bad else 0)


def _once(plan: Plan, keep: Path | None) -> bool:
    with tempfile.TemporaryDirectory(prefix="millrace-chaos-") as temporary:
        folder = Path(temporary) if keep is None else keep / str(plan.seed)
        folder.mkdir(parents=True, exist_ok=keep is None)
        verdict = chaos(plan, folder)
    good = not verdict.problems and verdict.recovered <= RECOVERS_WITHIN
    print(f"seed {plan.seed}, {'good' if good else 'BAD'}: recovered {verdict.recovered:.1f} s after the last fault")
    print(json.dumps(verdict.told, indent=1))
    for problem in verdict.problems:
        print(f"! {problem}")
    sys.stdout.flush()
    return good


if __name__ == "__main__":
    main()
