"""From a checked tree to steps: what our code walks becomes a step, what is left becomes programs of the library.

An operator's program is the user's own source with every part that is ours replaced by a variable.
"""

from dataclasses import dataclass, field

from .cel_library import compile_program
from .faults import ExpressionFault, Unevaluable, shortened
from .functions import LIBRARY_FUNCTIONS, LIBRARY_METHODS, OURS, TYPE_NAMES
from .loops import Loop, QuantifierStep, TransformStep
from .operators import MatchStep, OperatorStep, constant
from .paths import Key, key_text
from .steps import (
    CallStep,
    ConditionalStep,
    ConstantStep,
    DefaultStep,
    Findable,
    HasStep,
    ListStep,
    MapStep,
    PathStep,
    ReachStep,
    Step,
)
from .syntax import Call, Conditional, Index, ListOf, Literal, MapOf, Name, Node, Operation, Select, children


def build(source: str, node: Node) -> Step:
    """The step for the whole of a checked expression. Raises `ExpressionFault` where the library refuses a part."""
    return _Builder(source).step(node)


def static_key(node: Node) -> Key | None:
    """The key in `[…]` where it is a plain text or number; `None` for one that must be computed."""
    if isinstance(node, Literal) and node.kind == "int" and node.text.isdigit():
        return int(node.text)
    if isinstance(node, Literal) and node.kind == "string" and "\\" not in node.text:
        text = node.text.lstrip("rR")
        width = 3 if text[:3] in ("'''", '"""') and len(text) >= 6 else 1
        return text[width:-width]
    return None


@dataclass(slots=True)
class _Program:
    """An operator's program in the making."""

    operands: list[tuple[str, str, Step]] = field(default_factory=list)
    replaced: list[tuple[int, int, str]] = field(default_factory=list)
    operators: int = 0
    literal_types: set[str] = field(default_factory=set)


class _Builder:
    def __init__(self, source: str) -> None:
        self._source = source

    def step(self, node: Node) -> Step:
        if _is_constant(node):
            return self._constant(node)
        match node:
            case Name() | Select() | Index():
                return self._path(node)
            case ListOf():
                return ListStep(tuple(map(self.step, node.items)))
            case MapOf():
                return MapStep(tuple((self.step(key), self.step(value)) for key, value in node.entries))
            case Conditional():
                return ConditionalStep(self.step(node.condition), self.step(node.then), self.step(node.otherwise))
            case Call() if not _is_library_call(node):
                return self._call(node)
            case _:
                return self._operators(node)

    def _constant(self, node: Node) -> Step:
        try:
            return ConstantStep(constant(self._text(node)))
        except Unevaluable as fault:
            message, remedy = fault.words()
            raise ExpressionFault(f"{self._shown(node)}: {message}", node.start, remedy or "correct it") from None

    def _path(self, node: Node) -> Findable:
        keys: list[Key | Step] = []
        texts: list[str] = []
        while isinstance(node, Select | Index):
            key = node.field if isinstance(node, Select) else static_key(node.key)
            if key is None and isinstance(node, Index):
                keys.append(self.step(node.key))
                texts.append(f"[{self._shown(node.key)}]")
            elif key is not None:
                keys.append(key)
                texts.append(key_text(key))
            node = node.base
        keys.reverse()
        known = tuple(key for key in keys if isinstance(key, str | int))
        if isinstance(node, Name) and len(known) == len(keys):
            return PathStep(node.name, known)
        return ReachStep(self.step(node), self._shown(node), tuple(keys), tuple(reversed(texts)))

    def _call(self, node: Call) -> Step:
        arguments = node.arguments if node.target is None else (node.target, *node.arguments)
        match node.function:
            case "has":
                return HasStep(self._path(arguments[0]))
            case "default":
                return DefaultStep(self._path(arguments[0]), self.step(arguments[1]))
            case "matches":
                return MatchStep(self.step(arguments[0]), self.step(arguments[1]))
            case name if name in OURS:
                return CallStep(OURS[name], tuple(map(self.step, arguments)))
            case _:
                return self._loop(node.function, arguments)

    def _loop(self, function: str, arguments: tuple[Node, ...]) -> Step:
        target, variable, *inner = arguments
        loop = Loop(function, self.step(target), self._text(variable), self.step(inner[-1]))
        if function in ("map", "filter"):
            return TransformStep(loop, self.step(inner[0]) if len(inner) == 2 else None)
        return QuantifierStep(loop)

    def _operators(self, node: Node) -> Step:
        program = _Program()
        self._collect(node, program)
        source = self._spliced(node, program.replaced)
        try:
            compiled = compile_program(source)
        except ValueError:
            raise ExpressionFault(
                f"{self._shown(node)} is not written as CEL wants it", node.start, "see the CEL syntax"
            ) from None
        return OperatorStep(compiled, tuple(program.operands), program.operators, frozenset(program.literal_types))

    def _collect(self, node: Node, program: _Program) -> None:
        """Count what the library computes below `node`, and set a variable for each part that it does not."""
        if isinstance(node, Literal):
            program.literal_types.add(node.kind)
        elif isinstance(node, Operation) or (isinstance(node, Call) and _is_library_call(node)):
            program.operators += len(node.symbols) if isinstance(node, Operation) else 1
            for part in children(node):
                self._collect(part, program)
        elif not _is_constant(node):
            variable = f"v{len(program.operands)}"
            program.operands.append((variable, self._shown(node), self.step(node)))
            program.replaced.append((node.start, node.end, variable))

    def _spliced(self, node: Node, replaced: list[tuple[int, int, str]]) -> str:
        parts: list[str] = []
        position = node.start
        for start, end, variable in replaced:
            parts += (self._source[position:start], f" {variable} ")
            position = end
        parts.append(self._source[position : node.end])
        return "".join(parts)

    def _text(self, node: Node) -> str:
        return self._source[node.start : node.end]

    def _shown(self, node: Node) -> str:
        return shortened(self._text(node))


def _is_constant(node: Node) -> bool:
    """Whether a part has no names in it. Maps are never constant: the library forgets the order of their keys."""
    match node:
        case Literal():
            return True
        case Name():
            return node.name in TYPE_NAMES
        case ListOf() | Operation():
            return all(map(_is_constant, children(node)))
        case _:
            return False


def _is_library_call(node: Call) -> bool:
    if node.target is None:
        return node.function in LIBRARY_FUNCTIONS
    return node.function in LIBRARY_METHODS and node.function != "matches"
