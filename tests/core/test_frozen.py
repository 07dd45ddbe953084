"""Frozen values."""

from __future__ import annotations

from convcli.core.frozen import contents, frozen


@frozen
class Names:
    """A value whose fields have names that a generated constructor might use itself."""

    fields: int
    values: int
    name: int = 3


def test_any_name_can_be_that_of_a_field():
    """The generated constructor has no names of its own that could hide a field."""
    assert contents(Names(1, 2)) == {"fields": 1, "values": 2, "name": 3}
