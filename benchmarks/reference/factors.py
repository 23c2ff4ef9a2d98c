"""Designs of factors and their interactions, from formulas as R and patsy write them.

The text is read token by token from a small, closed set first. Only then does patsy see it, which
codes factors by treatment contrasts with R's rules of marginality, and which looks names up as
Python does: every name that reaches it is a column of the file.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.problem import is_column

_LONGEST = 1_000
_MOST_COLUMNS = 500
_HIGHEST_POWER = 6
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z][A-Za-z0-9_.]*)|(?P<number>\d+)|(?P<sign>\*\*|[-+:*/^().]))", re.ASCII
)
_BEFORE_A_BRACKET = ("", "+", "-", ":", "*", "/", "**", "(")
_ALIASED = 1e-7  # of a column's length: R's own tolerance


def design_of_formula(
    text: str, variables: Mapping[str, Any], listed: Sequence[str] | None = None
) -> tuple[str, tuple[str, ...], NDArray[np.float64]]:
    """The response's name, and names and columns of the design, in the order `listed` if given.

    Columns that depend linearly on earlier ones are left out, as R does.

    **Raises:** `ValueError` for a formula that is not understood, or other columns than listed.
    """
    response, right = _sides(text)
    columns = _variables(variables, response)
    formula = _checked(right, columns)
    names, design = _build(formula, columns)
    if listed is not None:
        names, design = _in_order(names, design, [str(name) for name in listed])
    kept = independent(design)
    return response, tuple(names[i] for i in kept), design[:, kept]


def independent(design: NDArray[np.float64]) -> list[int]:
    """The columns that do not depend linearly on those before them."""
    kept: list[int] = []
    basis = np.zeros((design.shape[0], 0))
    for i, column in enumerate(design.T):
        length = np.linalg.norm(column)
        left = column - basis @ (basis.T @ column)
        left = left - basis @ (basis.T @ left)  # once more, for the rounding of the first time
        size = np.linalg.norm(left)
        if length > 0 and size > _ALIASED * length:
            kept.append(i)
            basis = np.column_stack([basis, left / size])
    return kept


def plain_name(name: str) -> str:
    """A coefficient's name as R writes it: `Sex[T.M]` is `SexM`, `Intercept` `(Intercept)`."""
    bare = re.sub(r"\[(?:T\.|S\.)?([^\]]*)\]", r"\1", name)
    return "(Intercept)" if bare.lower() in ("intercept", "const", "_cons") else bare


def _sides(text: str) -> tuple[str, str]:
    if len(text) > _LONGEST:
        raise ValueError(f"a formula has at most {_LONGEST} characters, got {len(text)}")
    match = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9_.]*)\s*~([^~]+)", text, re.ASCII)
    if match is None:
        raise ValueError(f"cannot read the formula {text[:200]!r}: expected 'response ~ terms'")
    return match[1], match[2].split(";", 1)[0].rstrip()


def _variables(variables: Mapping[str, Any], response: str) -> dict[str, Any]:
    """Columns by name: of text where they are factors, of numbers where they are not."""
    found: dict[str, Any] = {}
    for name, column in variables.items():
        if name in (response, "y"):
            continue
        if is_column(column):
            found[name] = np.asarray(column, dtype=np.float64)
        elif isinstance(column, list) and column and all(isinstance(v, str) for v in column):
            found[name] = np.asarray(column, dtype=object)
        else:
            raise ValueError(f"the factor {name!r} is not a list of levels")
    if len({len(column) for column in found.values()}) != 1:
        raise ValueError("expected factors of one length")
    return found


def _checked(text: str, columns: Mapping[str, Any]) -> str:
    """The formula for patsy, its names replaced by others that Python cannot mistake."""
    numbered = {name: f"v{i}_" for i, name in enumerate(columns)}
    parts: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot read the formula {text!r}: {text[at:].lstrip()[:1]!r}")
        at = match.end()
        parts.append(_part(match, numbered, parts[-1] if parts else ""))
    if sum(part in ("*", "**", "/") for part in parts) > 20:
        raise ValueError("the formula has more interactions than are tried")
    return " ".join(parts)


def _part(match: re.Match[str], numbered: Mapping[str, str], before: str) -> str:
    word = match.group().strip()
    if match["name"]:
        if word not in numbered:
            known = ", ".join(sorted(numbered))
            raise ValueError(f"the formula has {word[:40]!r}, which is not one of {known}")
        return numbered[word]
    if word == ".":
        return f"({' + '.join(numbered.values())})"
    if match["number"]:
        highest = _HIGHEST_POWER if before == "**" else 1
        if int(word) > highest:
            raise ValueError(f"the formula has the number {word[:20]}, more than {highest}")
        return str(int(word))
    if word == "(" and before not in _BEFORE_A_BRACKET:  # Python would take it for a call
        raise ValueError("the formula has a function, which is not understood")
    return "**" if word == "^" else word


def _build(formula: str, columns: Mapping[str, Any]) -> tuple[list[str], NDArray[np.float64]]:
    try:
        import patsy
    except ImportError:
        raise ValueError("formulas need patsy, which is not installed") from None
    names = list(columns)
    data = {f"v{i}_": column for i, column in enumerate(columns.values())}
    levels = {v: len(set(c.tolist())) if c.dtype == object else 1 for v, c in data.items()}
    try:
        described = patsy.ModelDesc.from_formula(formula)
        size = sum(
            int(np.prod([levels[factor.name()] for factor in term.factors], dtype=float))
            for term in described.rhs_termlist
        )
        if size > _MOST_COLUMNS:
            raise ValueError(f"the formula has more than {_MOST_COLUMNS} columns")
        built = patsy.dmatrix(described, data, eval_env=patsy.EvalEnvironment([{}]))
    except (patsy.PatsyError, KeyError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"cannot read the formula {formula!r}: {said}") from None
    back = lambda name: re.sub(r"v(\d+)_", lambda match: names[int(match[1])], name)
    return [back(name) for name in built.design_info.column_names], np.asarray(built)


def _in_order(
    names: list[str], design: NDArray[np.float64], listed: list[str]
) -> tuple[list[str], NDArray[np.float64]]:
    ours = {plain_name(name): i for i, name in enumerate(names)}
    if absent := [name for name in listed if plain_name(name) not in ours]:
        raise ValueError(f"the file lists the columns {absent}, the formula has {names}")
    kept = [ours[plain_name(name)] for name in listed]
    if len(independent(design)) != len(independent(design[:, kept])):
        extra = [name for i, name in enumerate(names) if i not in kept]
        raise ValueError(f"the formula has the columns {extra}, which the file does not list")
    return listed, design[:, kept]
