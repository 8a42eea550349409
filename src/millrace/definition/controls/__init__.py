"""Control tasks: what the engine does itself, without a worker.

fields, configs   what `config` takes, type by type
kinds             all there is to know of a type: its config, the lists of tasks it takes, what its expressions read
checking          what is wrong with one
first_check       whether the condition of a `while` can have a value before the first iteration
compiling         -> core.controls
meanings          what a rendered config asks for: meets `ports.controls`
"""
