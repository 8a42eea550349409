"""What a run would do, as far as it can be told without doing it. Pure: it reads a plan and values, and stores nothing.

seeing    what an expression reads that is known, and rendering what can be rendered by it
endings   how tasks may end, and by that whether others run: the core's own table
found     what was found out about a task, and how it is told
tasks     one task after the other      controls   those that hold others, or wait

What is not mocked is taken to go well: what a worker runs completes, what is waited for comes. What it comes to is not
known, except of task types that only compute.
"""
