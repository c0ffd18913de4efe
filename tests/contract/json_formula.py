"""An evaluator for the part of json-formula that the C2PA asset rubrics use.

Written from the language's public grammar (a descendant of JMESPath), so that the rubric's own
expressions judge our manifests, not a translation of them. Left out: everything the rubrics do
not use (objects by wildcard, slices, dates, arithmetic beyond ``*``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKENS = re.compile(
    r"""\s*(?:
      (?P<json>`[^`]*`) | (?P<text>"(?:[^"\\]|\\.)*") | (?P<quoted>'[^']*')
    | (?P<number>\d+\.\d+|\d+) | (?P<name>[$_A-Za-z][$_A-Za-z0-9]*)
    | (?P<op>\[\?|\[\]|\|\||&&|==|!=|<=|>=|[][(){}.,:|@!<>*])
    )""",
    re.VERBOSE,
)
# Binding powers; a projection's right side ends below _STOP.
_POWER = {"|": 1, "||": 2, "&&": 3, "*": 7, "[]": 10, "[?": 21, ".": 40, "[": 55}
_POWER |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 4)
_NOT, _STOP = 8, 10

Node = Callable[[Any, "_Scope"], Any]


@dataclass(frozen=True)
class _Scope:
    root: Any
    variables: Mapping[str, Any]
    functions: Mapping[str, Node]


class Formula:
    """Compiles expressions that share variables and functions, and runs them on a document."""

    def __init__(self, variables: Mapping[str, Any], functions: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._functions = {name: _parse(text) for name, text in functions.items()}

    def search(self, expression: str, document: Any) -> Any:
        """Evaluate an expression; a missing field is null."""
        scope = _Scope(document, self._variables, self._functions)
        return _parse(expression)(document, scope)


def _parse(text: str) -> Node:
    tokens: list[tuple[str, str]] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"not a json-formula token: {text[at : at + 20]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    parser = _Parser(tokens)
    node = parser.expression(0)
    if not parser.done:
        raise ValueError(f"unexpected {parser.peek()[1]!r}")
    return node


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> tuple[str, str]:
        return ("end", "") if self.done else self._tokens[self._at]

    def take(self, expected: str | None = None) -> tuple[str, str]:
        token = self.peek()
        if expected is not None and token != ("op", expected):
            raise ValueError(f"expected {expected!r}, found {token[1]!r}")
        self._at += 1
        return token

    def expression(self, power: int) -> Node:
        left = self._prefix()
        while power < self._power():
            left = self._infix(left)
        return left

    def _power(self) -> int:
        kind, text = self.peek()
        return _POWER.get(text, 0) if kind == "op" else 0

    def _prefix(self) -> Node:
        kind, text = self.take()
        if kind in {"json", "text", "number"}:
            value = json.loads(text[1:-1] if kind == "json" else text)
            return lambda _current, _scope: value
        if kind == "quoted":
            return _field(text[1:-1])
        if kind == "name":
            return self._named(text)
        return self._opened(text)

    def _named(self, text: str) -> Node:
        if self.peek() == ("op", "("):
            return self._call(text)
        if text in {"null", "true", "false"}:
            value = json.loads(text)
            return lambda _current, _scope: value
        if text.startswith("$"):
            return lambda _current, scope: scope.variables[text]
        return _field(text)

    def _opened(self, text: str) -> Node:
        if text == "@":
            return lambda current, _scope: current
        if text == "!":
            inner = self.expression(_NOT)
            return lambda current, scope: not _truthy(inner(current, scope))
        if text == "(":
            inner = self.expression(0)
            self.take(")")
            return inner
        if text == "[]":
            return self._projection(_flat(lambda current, _scope: current))
        if text == "[?":
            return self._filter(lambda current, _scope: current)
        if text == "[":
            items = self._until("]")
            if len(items) == 1 and self._tokens[self._at - 2][0] == "number":
                index = int(self._tokens[self._at - 2][1])
                return lambda current, _scope: _item(current, index)
            return lambda current, scope: [item(current, scope) for item in items]
        if text == "{":
            return self._object()
        raise ValueError(f"unexpected {text!r}")

    def _object(self) -> Node:
        fields: dict[str, Node] = {}
        while self.peek() != ("op", "}"):
            name = self.take()[1].strip("\"'")
            self.take(":")
            fields[name] = self.expression(0)
            if self.peek() == ("op", ","):
                self.take()
        self.take("}")
        return lambda current, scope: {k: v(current, scope) for k, v in fields.items()}

    def _until(self, end: str) -> list[Node]:
        items: list[Node] = []
        while self.peek() != ("op", end):
            items.append(self.expression(0))
            if self.peek() == ("op", ","):
                self.take()
        self.take(end)
        return items

    def _call(self, name: str) -> Node:
        self.take("(")
        given = self._until(")")
        if name == "if":
            condition, then, otherwise = given
            return lambda c, s: then(c, s) if _truthy(condition(c, s)) else otherwise(c, s)
        if name in _FUNCTIONS:
            known = _FUNCTIONS[name]
            return lambda c, s: known(*(argument(c, s) for argument in given))

        def own(current: Any, scope: _Scope) -> Any:
            values = [argument(current, scope) for argument in given]
            inner = _Scope(scope.root, {**scope.variables, "$args": values}, scope.functions)
            return scope.functions[name](scope.root, inner)

        return own

    def _infix(self, left: Node) -> Node:
        text = self.take()[1]
        if text == ".":
            return self._dot(left)
        if text == "[":
            index = int(self.take()[1])
            self.take("]")
            return lambda c, s: _item(left(c, s), index)
        if text == "[]":
            return self._projection(_flat(left))
        if text == "[?":
            return self._filter(left)
        right = self.expression(_POWER[text])
        return _binary(text, left, right)

    def _dot(self, left: Node) -> Node:
        kind, text = self.take()
        if kind == "quoted":
            right = _field(text[1:-1])
        elif kind == "name":
            right = self._named(text)
        else:
            raise ValueError(f"unexpected {text!r} after a dot")
        return lambda c, s: right(left(c, s), s)

    def _filter(self, left: Node) -> Node:
        condition = self.expression(0)
        self.take("]")

        def kept(current: Any, scope: _Scope) -> Any:
            values = left(current, scope)
            if not isinstance(values, list):
                return None
            return [value for value in values if _truthy(condition(value, scope))]

        return self._projection(kept)

    def _projection(self, source: Node) -> Node:
        """What follows binds to each element, up to an operator weaker than a projection."""
        marker: Node = lambda current, _scope: current  # noqa: E731
        each = marker
        while self._power() >= _STOP and self.peek()[1] != "[]":
            each = self._infix(each)
        if each is marker:
            projected = source
        else:

            def projected(current: Any, scope: _Scope) -> Any:
                values = source(current, scope)
                if not isinstance(values, list):
                    return None
                found = (each(value, scope) for value in values)
                return [value for value in found if value is not None]

        if self.peek() == ("op", "[]"):
            self.take()
            return self._projection(_flat(projected))
        return projected


def _field(name: str) -> Node:
    return lambda current, _scope: current.get(name) if isinstance(current, dict) else None


def _item(value: Any, index: int) -> Any:
    return value[index] if isinstance(value, list) and index < len(value) else None


def _flat(source: Node) -> Node:
    def flattened(current: Any, scope: _Scope) -> Any:
        values = source(current, scope)
        if not isinstance(values, list):
            return None
        merged: list[Any] = []
        for value in values:
            merged.extend(value if isinstance(value, list) else [value])
        return merged

    return flattened


def _truthy(value: Any) -> bool:
    return bool(value)


def _binary(operator: str, left: Node, right: Node) -> Node:
    if operator == "|":
        return lambda c, s: right(left(c, s), s)
    if operator == "||":
        return lambda c, s: value if _truthy(value := left(c, s)) else right(c, s)
    if operator == "&&":
        return lambda c, s: right(c, s) if _truthy(value := left(c, s)) else value
    if operator == "*":
        return lambda c, s: float(left(c, s)) * float(right(c, s))
    compare = _COMPARE[operator]
    return lambda c, s: compare(left(c, s), right(c, s))


def _ordered(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def checked(a: Any, b: Any) -> bool:
        same = isinstance(a, str) is isinstance(b, str)
        return same and a is not None and b is not None and check(a, b)

    return checked


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
}


def _type(value: Any) -> str:
    names = {str: "string", list: "array", dict: "object", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "keys": lambda value: list(value) if isinstance(value, dict) else [],
    "values": lambda value: list(value.values()) if isinstance(value, dict) else [],
    "split": lambda text, by: str(text).split(by),
    "contains": lambda whole, part: whole is not None and part is not None and part in whole,
    "startsWith": lambda text, part: isinstance(text, str) and text.startswith(part),
    "endsWith": lambda text, part: isinstance(text, str) and text.endswith(part),
    "notNull": lambda *values: next((v for v in values if v is not None), None),
    "length": lambda value: len(value) if value is not None else 0,
    "type": _type,
}
