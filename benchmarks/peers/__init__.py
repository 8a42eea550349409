"""The systems that Millrace is measured beside. Each module is a script of its own, run in `.cache/bench`.

A script sets its system up in a temporary folder below the repository (the same disk as Millrace's database), does
the four workloads in the way that system's own documentation teaches, prints one line of JSON and leaves nothing
behind.
"""
