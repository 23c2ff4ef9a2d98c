"""Formula strings as JAX functions, without running any text as code.

The text is split into a small, closed set of tokens and read by operator precedence (V. R. Pratt,
"Top down operator precedence", POPL 1973) straight into a SymPy expression, so there is no step at
which Python sees it: `sympy.sympify` and `sympy.parse_expr` call `eval`, hence neither is used.
The expression is then walked, node by node, with `jax.numpy`.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import sympy
from jax import Array
from jax.typing import ArrayLike
from sympy.codegen import cfunctions

_LONGEST = 10_000  # characters; certified problems use a few hundred
_DEEPEST = 100  # nested brackets, signs or powers, far below Python's own recursion limit
_MOST_BITS = 4_096  # of an exact constant: `9**9**9` would otherwise fill the memory

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_.]*)"
    r"|(?P<sign>\*\*|[-+*/^(),\[\]]))"
)

_FUNCTIONS: dict[str, Callable[..., sympy.Expr]] = {
    "abs": sympy.Abs,
    "acos": sympy.acos,
    "arccos": sympy.acos,
    "arcsin": sympy.asin,
    "arctan": sympy.atan,
    "asin": sympy.asin,
    "atan": sympy.atan,
    "cos": sympy.cos,
    "cosh": sympy.cosh,
    "exp": lambda x: _exponential(x),
    "expm1": cfunctions.expm1,
    "ln": sympy.log,
    "log": sympy.log,
    "log10": cfunctions.log10,
    "log1p": cfunctions.log1p,
    "log2": cfunctions.log2,
    "sin": sympy.sin,
    "sinh": sympy.sinh,
    "sqrt": lambda x: _power(x, sympy.Rational(1, 2)),
    "tan": sympy.tan,
    "tanh": sympy.tanh,
}
_FUNCTIONS_OF_TWO: dict[str, Callable[..., sympy.Expr]] = {
    "pow": lambda x, y: _power(x, y),
    "power": lambda x, y: _power(x, y),
}

_NUMERIC: dict[type, Callable[[Array], Array]] = {
    sympy.Abs: jnp.abs,
    sympy.acos: jnp.arccos,
    sympy.asin: jnp.arcsin,
    sympy.atan: jnp.arctan,
    sympy.cos: jnp.cos,
    sympy.cosh: jnp.cosh,
    sympy.exp: jnp.exp,
    sympy.log: jnp.log,
    sympy.sin: jnp.sin,
    sympy.sinh: jnp.sinh,
    sympy.tan: jnp.tan,
    sympy.tanh: jnp.tanh,
    cfunctions.expm1: jnp.expm1,
    cfunctions.log10: jnp.log10,
    cfunctions.log1p: jnp.log1p,
    cfunctions.log2: jnp.log2,
}


class _Token(NamedTuple):
    kind: str  # "number", "name", "sign" or "end"
    text: str


def parse(text: str, names: Collection[str]) -> sympy.Expr:
    """The SymPy expression of a formula over the given names.

    Understood are numbers, `+ - * /`, `**` or `^`, round and square brackets, the constant `pi`
    and the usual functions; text after `;` is prose, and a left-hand side (`y = ...`, `y ~ ...`)
    is dropped. A name in `names` hides a constant or a function of the same name.

    **Raises:** `ValueError` for anything else, saying what and where.
    """
    tokens = _tokens(text)
    try:
        expression = _Parser(tokens, frozenset(names)).whole()
    except ValueError as error:
        raise ValueError(f"cannot read the formula {text[:200]!r}: {error}") from None
    if not all(_is_finite(constant) for constant in expression.atoms(sympy.Atom)):
        raise ValueError(f"the formula {text[:200]!r} has a constant that is no finite real number")
    return expression


def _right_side(text: str) -> str:
    """The right-hand side of a formula, without prose."""
    if not isinstance(text, str):
        raise ValueError(f"a formula must be a string, got {type(text).__name__}")
    if len(text) > _LONGEST:
        raise ValueError(f"a formula has at most {_LONGEST} characters, got {len(text)}")
    right = text.split(";", 1)[0]
    left = re.match(r"\s*[A-Za-z][\w.]*\s*(?:=|~)(?!=)", right, re.ASCII)
    return right[left.end() :] if left else right


def names_in(text: str) -> list[str]:
    """The names of a formula, function calls and constants aside, in order of appearance."""
    tokens = _tokens(text)
    called = (follower.text in ("(", "[") for follower in tokens[1:])
    found = [
        token.text
        for token, call in zip(tokens[:-1], called, strict=True)
        if token.kind == "name" and not call and token.text != "pi"
    ]
    return list(dict.fromkeys(found))


def evaluate(expression: sympy.Expr, values: Mapping[str, ArrayLike]) -> Array:
    """The value of an expression from `parse`, with NumPy's broadcasting, in JAX.

    **Raises:** `KeyError` for a symbol without a value.
    """
    if isinstance(expression, sympy.Symbol):
        return jnp.asarray(values[expression.name])
    if expression.is_Atom:
        return jnp.asarray(_constant(expression))
    if isinstance(expression, sympy.Pow):
        return _evaluate_power(expression, values)
    arguments = [evaluate(argument, values) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return sum(arguments[1:], start=arguments[0])
    if isinstance(expression, sympy.Mul):
        return _product(arguments)
    return _NUMERIC[expression.func](*arguments)


def _constant(atom: sympy.Expr) -> float:
    """A rational number, pi or e, as the nearest float."""
    if atom.is_Rational:
        return int(atom.p) / int(atom.q)
    return {sympy.pi: math.pi, sympy.E: math.e}[atom]


def _is_finite(atom: sympy.Expr) -> bool:
    if isinstance(atom, sympy.Symbol):
        return True
    try:
        return math.isfinite(_constant(atom))
    except (KeyError, OverflowError):  # infinities, the imaginary unit; a fraction beyond float64
        return False


def _product(factors: list[Array]) -> Array:
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result


def _evaluate_power(expression: sympy.Pow, values: Mapping[str, ArrayLike]) -> Array:
    base, exponent = expression.args
    x = evaluate(base, values)
    if isinstance(exponent, sympy.Integer):  # repeated products: right for negative bases as well
        return x ** int(exponent)
    if exponent == sympy.Rational(1, 2):
        return jnp.sqrt(x)
    if exponent == sympy.Rational(-1, 2):
        return 1 / jnp.sqrt(x)
    return jnp.power(x, evaluate(exponent, values))


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    right = _right_side(text).rstrip()
    while at < len(right):
        match = _TOKEN.match(right, at)
        if match is None:
            strange = right[at:].lstrip()[:1]
            raise ValueError(
                f"cannot read the formula {text[:200]!r}: {strange!r} is not understood"
            )
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind]))
        at = match.end()
    return [*tokens, _Token("end", "the end")]


def _power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    _check_size(base, exponent)
    return sympy.Pow(base, exponent)


def _exponential(argument: sympy.Expr) -> sympy.Expr:
    for term in sympy.Add.make_args(argument):  # SymPy turns exp(n*log(a)) into a**n
        for logarithm in term.atoms(sympy.log):
            _check_size(logarithm.args[0], term.as_coeff_Mul()[0])
    return sympy.exp(argument)


def _check_size(base: sympy.Expr, exponent: sympy.Expr) -> None:
    """Bounds the constants of a power, since SymPy works them out exactly."""
    if exponent.is_Rational:
        constants = base.atoms(sympy.Rational)
        sizes = (int(c.p).bit_length() + int(c.q).bit_length() for c in constants)
        bits = max(sizes, default=0)
        if abs(int(exponent.p)) * bits > _MOST_BITS * int(exponent.q):
            raise ValueError("a constant power is too large")


def _number(text: str) -> sympy.Rational:
    """A decimal exactly, so that 0.5 is one half and `x**0.5` a square root."""
    value = float(text)
    if value in (0.0, float("inf")) and re.search(r"[1-9]", re.split("[eE]", text)[0]):
        raise ValueError(f"the number {text[:40]!r} is beyond float64")
    return sympy.Rational(text) if value else sympy.Integer(0)


class _Parser:
    """Operator precedence, lowest first: `+ -`, `* /`, sign, power (to the right)."""

    def __init__(self, tokens: list[_Token], names: frozenset[str]) -> None:
        self._tokens = tokens
        self._names = names
        self._at = 0
        self._depth = 0

    def whole(self) -> sympy.Expr:
        result = self._sum()
        if self._peek().kind != "end":
            raise ValueError(f"unexpected {self._peek().text!r}")
        return result

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, *signs: str) -> str | None:
        token = self._peek()
        if token.kind == "sign" and token.text in signs:
            return self._next().text
        return None

    def _sum(self) -> sympy.Expr:
        result = self._term()
        while sign := self._take("+", "-"):
            term = self._term()
            result = result + term if sign == "+" else result - term
        return result

    def _term(self) -> sympy.Expr:
        result = self._signed()
        while sign := self._take("*", "/"):
            factor = self._signed()
            if sign == "/" and factor.is_zero:
                raise ValueError("division by zero")
            result = result * factor if sign == "*" else result / factor
        return result

    def _signed(self) -> sympy.Expr:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST}")
        sign = self._take("+", "-")
        if sign is None:
            result = self._with_power()
        else:
            result = -self._signed() if sign == "-" else self._signed()
        self._depth -= 1
        return result

    def _with_power(self) -> sympy.Expr:
        base = self._atom()
        if self._take("**", "^"):
            return _power(base, self._signed())
        return base

    def _atom(self) -> sympy.Expr:
        token = self._next()
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "name":
            return self._named(token.text)
        if token.text in ("(", "["):
            return self._arguments(token.text, 1)[0]
        raise ValueError(f"unexpected {token.text!r}")

    def _named(self, name: str) -> sympy.Expr:
        if name in self._names:
            return sympy.Symbol(name)
        if name == "pi":
            return sympy.pi
        bracket = self._take("(", "[")
        if bracket and name in _FUNCTIONS:
            return _FUNCTIONS[name](*self._arguments(bracket, 1))
        if bracket and name in _FUNCTIONS_OF_TWO:
            return _FUNCTIONS_OF_TWO[name](*self._arguments(bracket, 2))
        kind = "function" if bracket else "name"
        known = sorted({*_FUNCTIONS, *_FUNCTIONS_OF_TWO} if bracket else self._names)
        raise ValueError(f"the {kind} {name[:40]!r} is not one of {', '.join(known)}")

    def _arguments(self, bracket: str, count: int) -> list[sympy.Expr]:
        """What stands between a bracket, just opened, and its mate."""
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        mate = {"(": ")", "[": "]"}[bracket]
        if not self._take(mate):
            raise ValueError(f"expected {mate!r}, found {self._peek().text!r}")
        if len(arguments) != count:
            raise ValueError(f"expected {count} argument(s), found {len(arguments)}")
        return arguments
