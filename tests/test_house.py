"""The rules of the house: they hold for every module, whoever writes it."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import equinox as eqx
import pytest

import likelihax

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path(likelihax.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 600
MOST_LINES_OF_A_FUNCTION = 60
NAMES_THAT_SAY_NOTHING = {"utils", "util", "base", "misc", "helpers", "common"}


def relative(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def each_file(test):
    return pytest.mark.parametrize("file", FILES, ids=relative)(test)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------ size and names


@each_file
def test_file_is_short(file):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines, at most {MOST_LINES}: give a part its own file"


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, less the docstring: explaining at length is no fault."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    explained = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - explained


@each_file
def test_functions_are_short(file):
    long = {
        f"line {node.lineno}: {node.name}": lines_of_code(node)
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of_code(node) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long, f"at most {MOST_LINES_OF_A_FUNCTION} lines of code a function, split: {long}"


@each_file
def test_module_name_says_what_is_inside(file):
    for part in file.relative_to(SOURCE).with_suffix("").parts:
        assert part.strip("_") not in NAMES_THAT_SAY_NOTHING, (
            f"'{part}' could hold anything: name it after what lives there (a family's base class "
            "lives in the file that bears the family's name)"
        )


# ------------------------------------------------------------------------------------- imports


def package_of(file: Path) -> list[str]:
    return ["likelihax", *file.relative_to(SOURCE).parent.parts]


def names_taken_from(node: ast.ImportFrom, file: Path) -> tuple[str, list[str]]:
    """The absolute module of `from module import names`, and the names."""
    package = package_of(file)
    above = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*above, *filter(None, [node.module])]), [name.name for name in node.names]


def is_module(name: str) -> bool:
    path = SOURCE.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


@each_file
def test_imports_the_file_it_means(file):
    """Importing from a package that one is inside of makes a ring through its `__init__`."""
    package = package_of(file)
    own = {".".join(package[:depth]) for depth in range(1, len(package) + 1)}
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            taken = [name.name for name in node.names if name.name in own]
        elif isinstance(node, ast.ImportFrom):
            module, names = names_taken_from(node, file)
            taken = [n for n in names if module in own and not is_module(f"{module}.{n}")]
        else:
            continue
        assert not taken, (
            f"line {node.lineno} imports {taken} through the package it is in: import from the "
            "underscored file that defines it"
        )


@each_file
def test_no_second_list_of_names(file):
    names = {node.id for node in ast.walk(parsed(file)) if isinstance(node, ast.Name)}
    assert "__all__" not in names, "write `from ._x import Y as Y` in __init__ instead of __all__"


# --------------------------------------------------------------------------- abstract or final


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(likelihax.__path__, "likelihax.")
    return [likelihax, *(importlib.import_module(module.name) for module in found)]


def equinox_classes() -> list[type]:
    # Looked up by name in their modules: `__subclasses__` would also list Equinox's own copies.
    return [
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, eqx.Module)
        and value.__module__ == module.__name__
    ]


def is_abstract(cls: type) -> bool:
    return inspect.isabstract(cls) or bool(getattr(cls, "__abstractvars__", None))


@pytest.mark.parametrize("cls", equinox_classes(), ids=lambda cls: cls.__qualname__)
def test_abstract_or_final(cls):
    heirs = [
        other.__qualname__
        for other in equinox_classes()
        if other is not cls and issubclass(other, cls)
    ]
    if cls.__name__.lstrip("_").startswith("Abstract"):
        assert is_abstract(cls), f"{cls.__name__} leaves nothing to implement: drop 'Abstract'"
    else:
        assert not is_abstract(cls), (
            f"{cls.__name__} leaves {set(getattr(cls, '__abstractmethods__', ()))} to implement: "
            "implement it, or call the class 'Abstract...'"
        )
        assert not heirs, (
            f"{cls.__name__} is final, but {heirs} derive from it: vary by wrapping, or move what "
            "they share to an abstract class"
        )


# ---------------------------------------------------------------------------------- the surface


def is_public(name: str) -> bool:
    return not name.startswith("_")


def exported(module: ModuleType) -> Iterator[str]:
    """The names a module shows: re-exports of an `__init__`, definitions of a plain file."""
    for node in parsed(Path(module.__file__)).body:
        if isinstance(node, ast.ImportFrom):
            yield from (name.name for name in node.names if name.asname == name.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def public_surface() -> dict[str, object]:
    """Every public object under each path it can be reached by, such as `likelihax.fit`."""
    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules()
        if all(map(is_public, module.__name__.split(".")))
        for name in exported(module)
        if is_public(name)
    }


def each_public(test):
    # One test an object, under the shortest path that leads to it.
    surface = sorted(public_surface().items(), key=lambda item: item[0].count("."))
    unique = {id(value): (path, value) for path, value in reversed(surface)}
    rows = [pytest.param(path, value, id=path) for path, value in unique.values()]
    return pytest.mark.parametrize(("path", "value"), rows)(test)


def members(value: object) -> dict[str, object]:
    """What of a public object a user may call: itself, and a class's own public methods."""
    if not inspect.isclass(value):
        return {"": value} if callable(value) else {}
    own = {
        # a property's function, plain or cached; else what the class makes of the entry
        name: getattr(static, "fget", None) or getattr(static, "func", getattr(value, name))
        for name, static in vars(value).items()
        if is_public(name) or name == "__call__"
    }
    return {f".{name}": method for name, method in own.items() if inspect.isroutine(method)}


def without_annotation(function: object) -> list[str]:
    signature = inspect.signature(function)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is inspect.Parameter.empty and name not in ("self", "cls")
    ]
    returns = [] if signature.return_annotation is not inspect.Signature.empty else ["return"]
    return missing + returns


@each_public
def test_public_name_has_docstring(path, value):
    if inspect.ismodule(value) or inspect.isclass(value):
        # `getdoc` would take the parent's: a class says itself what it is.
        written = (value.__doc__ or "").strip()
        made_by_dataclass = written.startswith(f"{path.rpartition('.')[2]}(")
        assert written, f"{path} has no docstring"
        assert not made_by_dataclass, f"{path} has no docstring of its own"
    for name, member in members(value).items():
        assert inspect.getdoc(member), f"{path}{name} has no docstring"


@each_public
def test_public_name_is_annotated(path, value):
    for name, member in members(value).items():
        missing = without_annotation(member)
        assert not missing, f"{path}{name}: no annotation for {missing}"
    if inspect.isclass(value) and issubclass(value, eqx.Module):
        missing = [name for name in without_annotation(value.__init__) if name != "return"]
        assert not missing, f"{path}.__init__: no annotation for {missing}"


@cache
def documented() -> frozenset[str]:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\.\. auto\w+:: (likelihax[\w.]*)", page, flags=re.MULTILINE))


@each_public
def test_public_name_is_in_the_docs(path, value):
    paths = {other for other, found in public_surface().items() if found is value}
    is_listed = inspect.ismodule(value) or not paths.isdisjoint(documented())
    assert is_listed, f"add {path} to docs/api.md, one entry a name"


def test_docs_list_nothing_that_is_gone():
    gone = documented() - set(public_surface()) - {module.__name__ for module in modules()}
    assert not gone, f"docs/api.md lists names that do not exist: {sorted(gone)}"
