"""Frozen values: classes whose fields are set once, by a constructor made from their annotations.

They are like `dataclasses.dataclass(frozen=True)`, without compiling every method for every class: start-up
creates almost a hundred such classes, at half a millisecond each with dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import get_annotations
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")


class _Value:
    """The methods that all values share."""

    def __setattr__(self, name: str, content: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={content!r}" for name, content in contents(self).items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return contents(self) == contents(other)

    def __hash__(self) -> int:
        return hash(tuple(contents(self).values()))


@overload
def frozen(made: type[T], /) -> type[T]: ...
@overload
def frozen(*, eq: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True)
def frozen(made: Any = None, /, *, eq: bool = True) -> Any:
    """Make a class a frozen value: with a repr that evaluates to it, equality by fields, and a constructor.

    A class may have a constructor of its own.

    Args:
        eq: whether values with equal fields are equal; otherwise only identical ones are, as fields that are
            arrays need it.
    """
    return _made(made, eq) if made is not None else lambda later: _made(later, eq)


def _made(made: Any, eq: bool) -> Any:
    names = tuple(get_annotations(made))
    setattr(made, "__match_args__", names)  # noqa: B010 - mypy takes it for a constant
    if "__init__" not in made.__dict__:
        made.__init__ = _compiled_later(made, names)
    for name in ("__setattr__", "__delattr__", "__repr__", *(("__eq__", "__hash__") if eq else ())):
        if name not in made.__dict__ or (name == "__hash__" and made.__hash__ is None):
            setattr(made, name, getattr(_Value, name))
    return made


def _compiled_later(made: Any, names: tuple[str, ...]) -> Any:
    """An ``__init__`` that compiles the real one when it is first called; a run uses few of all classes."""

    def first(self: Any, *values: Any, **named: Any) -> None:
        made.__init__ = _constructor(made, names)
        made.__init__(self, *values, **named)

    return first


def _constructor(made: type, names: tuple[str, ...]) -> Any:
    """``__init__``, by position or by name, with the class attributes as defaults."""
    defaults = {f"default_{name}": made.__dict__[name] for name in names if name in made.__dict__}
    parameters = ", ".join(
        f"{name}=default_{name}" if f"default_{name}" in defaults else name for name in names
    )
    lines = [f"def __init__(self, {parameters}):", " _values = self.__dict__"]
    lines += [f" _values[{name!r}] = {name}" for name in names]
    if hasattr(made, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec("\n".join(lines), defaults)
    return defaults["__init__"]


def contents(instance: Any) -> dict[str, Any]:
    """The fields of a value, by name."""
    return {name: getattr(instance, name) for name in instance.__match_args__}


def replace(instance: T, **changes: Any) -> T:
    """A copy of ``instance`` with some fields changed."""
    return type(instance)(**{**contents(instance), **changes})
