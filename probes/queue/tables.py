# ruff: noqa: S608  (SQL is put together of this package's own texts, and of names that are quoted)
"""Queues that live in tables of PostgreSQL: one question a look, made from a description of the tables.

A description says in SQL what waits, since when, and how to count the rest. The age is taken by the server's clock,
as are all comparisons with now; nothing is locked, and the statement is read-only and limited in time (`_pg`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from probes._look import Look, visible
from probes._pg.session import PgServer, Session, literal
from probes.contract import BadField, Context, LookFailed, Reason, Secret
from probes.queue.backend import Backend, Backlog

if TYPE_CHECKING:
    from probes.queue.probe import Queue

SMALL = 200_000
"""Rows (by the planner's statistics) up to which a figure is read that no index serves."""

_IDENTIFIER_BYTES = 63
_COUNTS = ("scheduled", "in_flight", "failed", "retry", "workers")
_SHOWN_PAUSED = 20
_BEYOND = 2.0**63
"""What no server counts to."""
_GONE = {
    "42P01": (Reason.MISSING, "the tables are not there: wrong database or schema, or not migrated"),
    "3F000": (Reason.MISSING, "the schema is not there"),
    "42703": (Reason.UNSUPPORTED, "the tables are not as in the versions that this back end knows"),
    "22P02": (Reason.UNSUPPORTED, "the tables are not as in the versions that this back end knows"),
}
"""What a description's statement fails with when its tables are other ones, by SQLSTATE."""


@dataclass(frozen=True, slots=True)
class Description:
    """What to ask, in SQL with placeholders: ``{t[name]}`` is a table, quoted and with its schema; ``{only[column]}``
    is true for the queues that the check names; ``{any_of[array]}`` is true where an array of the names that a worker
    serves, with * for any ending, has one of them; ``{at[column]}`` is the column as an instant, whether it has a
    time zone or is UTC without one, as Rails has it."""

    waiting: str
    """Rows of `queue`, `jobs` and `since`: what could run now, by queue, those of paused ones too. See `by_queue`."""
    counts: Mapping[str, str] = field(default_factory=dict)
    """Scalar expressions by figure of `Backlog`."""
    paused: str = ""
    """Rows of `queue`: names of paused queues."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Scalar expressions by name of evidence; shown unless they are null or 0."""


def by_queue(rows: str) -> str:
    """`Description.waiting` from a SELECT of `queue` and `since`, one row a job."""
    return f"SELECT queue, count(*) AS jobs, min(since) AS since FROM ({rows}) AS each_job GROUP BY queue"


class Tables:
    """How a check names things: its schema, its table, its queues."""

    __slots__ = ("_queues", "_renamed", "_schema")

    def __init__(self, schema: str | None, queues: tuple[str, ...], renamed: Mapping[str, str] | None = None) -> None:
        """`renamed` are tables that the user has given another name. Raises ValueError for what cannot be a name."""
        self._schema = "" if schema is None else f"{identifier(schema)}."
        self._queues = ", ".join(literal(queue) for queue in queues)
        self._renamed = renamed or {}

    def __call__(self, sql: str) -> str:
        return sql.format(t=_Each(self.table), only=_Each(self._only), any_of=_Each(self._any_of), at=_Each(_at))

    def table(self, name: str) -> str:
        """A table as SQL has it."""
        return self._schema + identifier(self._renamed.get(name, name))

    def _only(self, column: str) -> str:
        return f"{column} IN ({self._queues})" if self._queues else "true"

    def _any_of(self, served: str) -> str:
        if not self._queues:
            return "true"
        pattern = "replace(replace(replace(served, '_', '!_'), '%', '!%'), '*', '%')"
        return f"""EXISTS (SELECT 1 FROM unnest({served}) AS served, unnest(ARRAY[{self._queues}]) AS wanted
            WHERE wanted LIKE {pattern} ESCAPE '!')"""


class _Each:
    """``{word[name]}`` in a format string is what `call` makes of the name."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getitem__(self, name: str) -> str:
        return str(self._call(name))


def _at(column: str) -> str:
    return f"to_timestamp(extract(epoch FROM {column}))"


def identifier(name: str) -> str:
    """A name as SQL has it, whatever is in it. Raises ValueError for what cannot be one."""
    if not name or "\0" in name or len(name.encode()) > _IDENTIFIER_BYTES:
        raise ValueError(f"{visible(name, 80)!r} cannot be a name: 1 to {_IDENTIFIER_BYTES} bytes")
    return '"' + name.replace('"', '""') + '"'


def question(description: Description, names: Tables) -> str:
    """The one statement of a look."""
    paused = description.paused or "SELECT ''::text AS queue WHERE false"
    figures = [f"({expression}) AS {name}" for name, expression in description.counts.items()]
    figures += [f'({expression}) AS "note {name}"' for name, expression in description.notes.items()]
    counted = "".join(f",\n  {names(figure)}" for figure in figures)
    return f"""
WITH paused AS ({names(paused)}), waiting AS ({names(description.waiting)}),
running AS (SELECT * FROM waiting WHERE NOT EXISTS (SELECT 1 FROM paused WHERE paused.queue = waiting.queue))
SELECT
  (SELECT coalesce(sum(jobs), 0) FROM running) AS depth,
  (SELECT coalesce(greatest(0, extract(epoch FROM now() - min(since))), 0) FROM running) AS lag,
  (SELECT coalesce(sum(jobs), 0) FROM waiting) AS everything,
  (SELECT queue FROM running ORDER BY since, queue LIMIT 1) AS oldest,
  (SELECT queue FROM running ORDER BY jobs DESC, queue LIMIT 1) AS deepest,
  (SELECT max(jobs) FROM running) AS most,
  (SELECT json_agg(queue) FROM (SELECT queue FROM paused ORDER BY queue LIMIT {_SHOWN_PAUSED}) AS p) AS paused_names
  {counted}"""


class OnPostgres(Backend):
    """A back end whose jobs are rows of PostgreSQL: `described` says how to read them."""

    described: ClassVar[Description]
    renamed: ClassVar[str | None] = None
    """The table that the key `table` gives another name."""
    schema: ClassVar[str | None] = None
    """Where the tables are unless the check says so; None: by the search_path of the role."""
    needs = frozenset({"dsn"})
    takes: ClassVar[frozenset[str]] = frozenset({"queues", "schema"})
    extra = "postgres"

    def __init__(self, queue: Queue) -> None:
        self._server = PgServer(queue.dsn if queue.dsn is not None else Secret(""))
        self._queues = queue.queues
        self._question = self._asked(queue)

    def _asked(self, queue: Queue) -> str:
        try:
            renamed = {self.renamed: queue.table} if self.renamed and queue.table else {}
            names = Tables(queue.schema or self.schema, queue.queues, renamed)
            return question(self.described, names)
        except ValueError as error:
            raise BadField("table" if queue.table is not None else "schema", str(error)) from None

    @property
    def target(self) -> str:
        return f"{self._server.target} {', '.join(self._queues)}".rstrip()

    @property
    def host(self) -> str | None:
        return self._server.host

    @property
    def secrets(self) -> Iterable[str]:
        return self._server.secrets

    async def read(self, look: Look, context: Context) -> Backlog:
        async with self._server.session(look, context) as session:
            try:
                return told(look, await self.ask(session))
            except LookFailed as failure:
                raise explained(failure) from failure

    async def ask(self, session: Session) -> dict[str, Any]:
        """The row that answers `question`."""
        rows = await session.rows(self._question, limit=1)
        return rows[0] if rows else {}

    def close(self) -> None:
        self._server.close()


def explained(failure: LookFailed) -> LookFailed:
    """What the server's complaint means for tables that a library has made."""
    if failure.reason is Reason.QUERY:
        for state, (reason, text) in _GONE.items():
            if failure.detail.endswith(f"[{state}]"):
                return LookFailed(reason, f"{text}; {failure.detail}")
    return failure


def told(look: Look, row: dict[str, Any]) -> Backlog:
    """The backlog from the answer to `question`."""
    depth, everything = _number(row, "depth"), _number(row, "everything")
    if depth is None or everything is None:
        raise LookFailed(Reason.PROTOCOL, "the answer has other columns than were asked for")
    evidence = {}
    lag = _number(row, "lag")
    if depth:
        evidence["oldest"] = f"{look.show(_name(row.get('oldest')), 120)}: {lag or 0:.0f} s"
        evidence["deepest"] = f"{look.show(_name(row.get('deepest')), 120)}: {_number(row, 'most') or 0:.0f} jobs"
    for column, value in row.items():
        if column.startswith("note ") and value:
            evidence[column.removeprefix("note ")] = look.show(str(value), 200)
    counts = {name: _whole(row, name) for name in _COUNTS}
    names = row.get("paused_names")
    return Backlog(
        depth=int(depth),
        lag=float(lag or 0.0),
        held=max(0, int(everything - depth)),
        paused=tuple(look.show(_name(each), 80) for each in names) if isinstance(names, list) else (),
        evidence=evidence,
        **counts,
    )


def _name(queue: object) -> str:
    return str(queue) if queue else "(no name)"


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _BEYOND
    return value if number else None


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    value = _number(row, name)
    return None if value is None else int(value)
