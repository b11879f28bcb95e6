"""The free search over jobs.

Invariant: each part of it reads an index alone, never the rows of the jobs; what a user types is a text, not a pattern.
Upper and lower case are alike, as far as the database knows letters.
"""

from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, CompoundSelect, literal, select, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from controller.store.schema import JOBS, LABELS

_J: Final = JOBS.c
_ESCAPE: Final = "/"


class _Holds(FunctionElement[bool]):
    """Whether the first text matches the second, a pattern.

    The library's own way puts `lower()` around both, which makes SQLite three times as slow; its LIKE needs none.
    """

    type = Boolean()
    inherit_cache = True
    name = "holds"


@compiles(_Holds, "sqlite")
def _in_sqlite(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return _like("LIKE", element, compiler, **options)


@compiles(_Holds, "postgresql")
def _in_postgresql(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return _like("ILIKE", element, compiler, **options)


def _like(operator: str, element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{text} {operator} {pattern} ESCAPE '{_ESCAPE}'"


def jobs_found(words: str) -> CompoundSelect[Any]:
    """Ids of the jobs whose name, present remote id or value of a label holds `words`; some more than once."""
    return union_all(
        select(_J.id).where(holds(_J.name, words)),
        select(_J.id).where(_J.remote_id.is_not(None), holds(_J.remote_id, words)),
        select(LABELS.c.job_id).where(holds(LABELS.c.value, words)),
    )


def holds(column: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """Whether a text holds `words`."""
    for special in (_ESCAPE, "%", "_"):
        words = words.replace(special, _ESCAPE + special)
    return _Holds(column, literal(f"%{words}%"))
