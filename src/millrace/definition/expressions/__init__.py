"""The expression language: CEL inside `{{ … }}`, bounded by construction.

templates                 find the expressions in texts and JSON values
tokens, parsing, syntax   CEL's grammar, as a tree
check                     what an expression of a definition must satisfy, and which paths it reads
literals                  arguments in the source that their functions cannot take
limits, patterns          every bound, in one place
building                  tree -> steps
steps, loops, paths       what our code computes: paths, comprehensions, calls, lists and maps
functions, dates          the table of functions (and their documentation)
operators, cel_library    what the CEL library computes: operators over values that are already there
evaluator                 meets `ports.evaluator`

Our code walks all data and runs all loops; the CEL library sees operators over scalars and small values. It
holds the interpreter lock and has no step limit, so nothing of unknown cost may reach it. Nothing is imported
here: who only looks for templates does not load the library.
"""
