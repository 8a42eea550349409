"""The one door to the CEL library: its compiled part alone.

`import cel` would also load the library's command line with a terminal toolkit: 0.1 s and 16 MB that every process
of ours would pay. So the extension module is loaded by its own name; a later `import cel` finds it there.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Protocol, cast

_EXTENSION = "cel.cel"


class Program(Protocol):
    """A compiled expression. It may be executed any number of times."""

    def execute(self, context: dict[str, object]) -> object:
        """The value; raises whatever the library raises (`operators.explain_error` knows)."""
        ...


def compile_program(source: str) -> Program:
    """Compile; raises `ValueError` where the library cannot read the source."""
    return cast(Program, _LIBRARY.compile(source))


def _load() -> ModuleType:
    loaded = sys.modules.get(_EXTENSION)
    if loaded is not None:
        return loaded
    package = find_spec("cel")
    folders = package.submodule_search_locations if package is not None else None
    extension = PathFinder.find_spec(_EXTENSION, folders)
    if extension is None or extension.loader is None:
        raise ImportError("the package common-expression-language is not installed", name=_EXTENSION)
    module = module_from_spec(extension)
    sys.modules[_EXTENSION] = module
    extension.loader.exec_module(module)
    return module


_LIBRARY = _load()
