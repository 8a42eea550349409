"""Day-one figure of the expression language: `python -m benchmarks.expressions`.

A loop task over 10,000 rows of 1 KB renders `{{ item.id }}` for each, and filters are applied to the whole list.
Bars: 20 µs an item, and no gap of the event loop over 20 ms, measured by a coroutine that ticks meanwhile.
The last rows show hostile expressions: bounded, and refused without a stall.
"""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from millrace.core.values import JsonObject
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import ExpressionError, Scope

ROWS = 10_000
MAX_ITEM_US = 20.0
MAX_GAP_MS = 20.0


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    items: int
    item_us: float
    gap_ms: float
    answer: str


def rows() -> list[JsonObject]:
    """10,000 rows of 1 KB, 5 % of which the filter keeps."""
    pad = "x" * 900
    return [{"id": i, "total": (i * 37 % 10_000) / 19.0, "status": "open", "pad": pad + str(i)} for i in range(ROWS)]


def mixed_text() -> str:
    """The longest text that the pattern below may be tried on; it defeats the engine's fast path."""
    return "".join("ab"[i * i // 7 % 2] for i in range(4_500))


async def measure(name: str, items: int, work: Callable[[], Awaitable[str]]) -> Figure:
    """Run `work` beside a ticker; the gap is the longest time that the ticker did not run."""
    gaps: list[float] = [0.0]
    done = False

    async def tick() -> None:
        last = time.perf_counter()
        while not done:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    gc.collect()
    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    gaps.clear()
    started = time.perf_counter()
    answer = await work()
    elapsed = time.perf_counter() - started
    await asyncio.sleep(0)
    done = True
    await ticker
    return Figure(name, items, round(elapsed / items * 1e6, 2), round(max(gaps) * 1e3, 2), answer)


async def figures() -> list[Figure]:
    evaluator = CelEvaluator()
    data = rows()
    scope = Scope(
        tasks={
            "fetch": {
                "output": {
                    "rows": list(data),
                    "numbers": list(range(100_000)),
                    "some": list(range(24_000)),
                    "ab": mixed_text(),
                    "text": json.dumps(["x" * 99] * 9_000),
                }
            }
        }
    )

    async def each() -> str:
        for index, row in enumerate(data):
            local = Scope(tasks=scope.tasks, locals={"item": row, "index": index})
            await evaluator.render({"id": "{{ item.id }}"}, local, place="tasks.load.config")
        return f"{len(data)} rendered"

    def one(template: str) -> Callable[[], Awaitable[str]]:
        async def run() -> str:
            try:
                value = await evaluator.render(template, scope, place="benchmark")
            except ExpressionError as error:
                return str(error).rpartition("': ")[2][:60]
            return f"{len(value)} items" if isinstance(value, list) else str(value)

        return run

    path = "tasks.fetch.output.rows"
    templates = {
        "filter": f"{{{{ {path}.filter(r, r.total > 500) }}}}",
        "filter, map": f"{{{{ {path}.filter(r, r.total > 500).map(r, r.id) }}}}",
        "exists in a condition": f"{{{{ size({path}) > 5 && {path}.exists(r, r.total > 1e9) }}}}",
        "matches": f"{{{{ {path}.filter(r, r.status.matches('^clo')) }}}}",
    }
    hostile = {
        "whole list to an operator": f"{{{{ {path} == [] }}}}",
        "nested loops": "{{ tasks.fetch.output.numbers.map(a, tasks.fetch.output.numbers.map(b, a * b)) }}",
        "100,000 ints to an operator": "{{ 5 in tasks.fetch.output.numbers }}",
        "long sums of a large text": f"{{{{ size({'+'.join([f'to_json({path}[0])'] * 80)}) }}}}",
        "largest operands": "{{ size([0] + tasks.fetch.output.some) }}",
        "many large calls": f"{{{{ size([{', '.join(['json(tasks.fetch.output.text)'] * 100)}]) }}}}",
        "slow pattern": "{{ tasks.fetch.output.ab.matches('[ab]*a[ab]{200}c') }}",
        "replace bomb": f"{{{{ {path}[0].pad.replace('x', {path}[1].pad).replace('x', {path}[1].pad) }}}}",
    }
    result = [await measure("render {{ item.id }}", ROWS, each)]
    result += [await measure(name, ROWS, one(template)) for name, template in templates.items()]
    result += [await measure(name, ROWS, one(template)) for name, template in hostile.items()]
    return result


def main() -> None:
    result = asyncio.run(figures())
    print(f"{'what':30}{'µs/item':>9}{'gap ms':>8}  answer")
    for figure in result:
        print(f"{figure.name:30}{figure.item_us:>9}{figure.gap_ms:>8}  {figure.answer}")
    print(json.dumps({"expressions": [asdict(figure) for figure in result]}))
    slow = [figure.name for figure in result[:3] if figure.item_us > MAX_ITEM_US]
    stalls = [figure.name for figure in result if figure.gap_ms > MAX_GAP_MS]
    if slow or stalls:
        raise SystemExit(f"over the bar: {', '.join(slow + stalls)}")


if __name__ == "__main__":
    main()
