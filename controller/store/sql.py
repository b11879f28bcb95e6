"""Statements of the hot path, compiled once: executed many rows at a time, without any work per row.

Invariant: the text of a statement depends on the schema and the columns alone, so that a statement is compiled once per
dialect and set of columns. The memory of them is bounded.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Table, bindparam, delete, insert, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import Delete, Insert, Update

_SHAPES_MAX: Final = 1000


class Statements:
    """Texts of inserts, updates and deletes whose parameters are tuples."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._texts: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], str] = {}

    def insert(self, table: Table, columns: Sequence[str]) -> str:
        """Parameters: the values of `columns`."""
        return self._text("insert", table, tuple(columns), ())

    def update(self, table: Table, columns: Sequence[str], keys: Sequence[str]) -> str:
        """Parameters: the new values of `columns`, then the values of `keys` that name the row."""
        return self._text("update", table, tuple(columns), tuple(keys))

    def delete(self, table: Table, keys: Sequence[str]) -> str:
        """Parameters: the values of `keys` that name the row."""
        return self._text("delete", table, (), tuple(keys))

    def _text(self, verb: str, table: Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> str:
        key = (verb, table.name, columns, keys)
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _SHAPES_MAX:
                self._texts.clear()
            text = self._texts[key] = self._compile(verb, table, columns, keys)
        return text

    def _compile(self, verb: str, table: Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> str:
        values = {column: bindparam(f"new_{column}", type_=table.c[column].type) for column in columns}
        where = [table.c[key] == bindparam(f"key_{key}", type_=table.c[key].type) for key in keys]
        statement: Insert | Update | Delete
        if verb == "insert":
            statement = insert(table).values(values)
        elif verb == "update":
            statement = update(table).where(*where).ordered_values(*((table.c[name], values[name]) for name in columns))
        else:
            statement = delete(table).where(*where)
        compiled = statement.compile(dialect=self._dialect)
        expected = [*(f"new_{column}" for column in columns), *(f"key_{key}" for key in keys)]
        if list(getattr(compiled, "positiontup", None) or ()) != expected:
            raise AssertionError(f"the parameters of {compiled} are not in the order {expected}")
        return str(compiled)
