# ruff: noqa: S608  (SQL is put together of this package's own texts, and of names that are quoted)
"""procrastinate and pgmq: queues in PostgreSQL that Python applications use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes._look import visible
from probes._pg.session import Session, literal
from probes.contract import BadField, LookFailed, Reason
from probes.queue.tables import SMALL, Description, OnPostgres, Tables, by_queue, question

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_MOST_QUEUES = 100


class Procrastinate(OnPostgres):
    """procrastinate 3 (Python), tested with the library itself (3.10). `dsn` is the application's database, `schema`
    where its tables are, if not on the role's search_path.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | `todo` whose `scheduled_at` has come, since then; without one, since it was deferred |
    | `scheduled`, `retry` | jobs in `todo` with a later `scheduled_at`: never tried, or tried before |
    | `in_flight` | jobs in `doing` |
    | `failed` | jobs in `failed`; only while the table has under 200,000 rows, as no index helps to count them |
    | `workers` | rows of `procrastinate_workers` with a heartbeat in the last 30 s, whatever queues they serve |

    Of jobs with the same `lock` only the first could run; the others are behind it and not counted, and the evidence
    `behind_a_lock` has their number. `abandoned` is the number of jobs in `doing` whose worker has no heartbeat: they
    hold their lock until `retry_stalled_jobs` or somebody else puts them back.
    """

    name = "procrastinate"
    described = Description(
        # Only jobs without scheduled_at need their event, and of those the first is the oldest.
        waiting="""
            SELECT queue, jobs, least(since, (
                SELECT max(at) FROM {t[procrastinate_events]} WHERE job_id = first AND type IN ('deferred', 'retried')
            )) AS since FROM (
                SELECT queue_name AS queue, count(*) AS jobs, min(scheduled_at) AS since,
                    min(id) FILTER (WHERE scheduled_at IS NULL) AS first
                FROM {t[procrastinate_jobs]} AS job LEFT JOIN (
                    SELECT lock AS held, min(id) AS next FROM {t[procrastinate_jobs]}
                    WHERE status IN ('todo', 'doing') AND lock IS NOT NULL GROUP BY lock) AS chain ON held = lock
                WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()) AND {only[queue_name]}
                  AND (lock IS NULL OR id = next)
                GROUP BY queue_name) AS grouped""",
        counts={
            "scheduled": """SELECT count(*) FROM {t[procrastinate_jobs]}
                WHERE status = 'todo' AND scheduled_at > now() AND attempts = 0 AND {only[queue_name]}""",
            "retry": """SELECT count(*) FROM {t[procrastinate_jobs]}
                WHERE status = 'todo' AND scheduled_at > now() AND attempts > 0 AND {only[queue_name]}""",
            # Indexed for `doing` with a worker or a lock only; the rest is for whoever has a small table.
            "in_flight": """SELECT count(*) FROM {t[procrastinate_jobs]}
                WHERE status = 'doing' AND worker_id IS NOT NULL AND {only[queue_name]}""",
            "failed": f"""CASE WHEN (SELECT reltuples FROM pg_class WHERE oid = '{{t[procrastinate_jobs]}}'::regclass)
                < {SMALL} THEN (SELECT count(*) FROM {{t[procrastinate_jobs]}}
                WHERE status = 'failed' AND {{only[queue_name]}}) END""",
            "workers": """SELECT count(*) FROM {t[procrastinate_workers]}
                WHERE last_heartbeat > now() - interval '30 seconds'""",
        },
        notes={
            "behind_a_lock": """SELECT count(*) - count(DISTINCT lock) FROM {t[procrastinate_jobs]}
                WHERE status IN ('todo', 'doing') AND lock IS NOT NULL AND {only[queue_name]}""",
            "abandoned": """SELECT count(*) FROM {t[procrastinate_jobs]} AS job
                JOIN {t[procrastinate_workers]} AS worker ON worker.id = job.worker_id
                WHERE job.status = 'doing' AND worker.last_heartbeat <= now() - interval '30 seconds'
                  AND {only[queue_name]}""",
        },
    )


class Pgmq(OnPostgres):
    """pgmq 1.5 and later (Tembo, Supabase), tested with its Python library (1.1). `dsn` is the database, `schema` is
    `pgmq` unless it is written. Without `queues`, all in `pgmq.meta`, at most 100; partitioned ones too.

    A message waits since it could be read: since `vt`, which is when it was sent or its delay was over; a message
    that somebody read and did not delete waits anew once its visibility timeout has passed. `in_flight` are messages
    that were read and are not visible yet, `scheduled` those with a delay. pgmq knows no workers, no failures and no
    pause; `read_ct` of what waits shows messages that fail again and again: the evidence `read_often` counts those
    that were read 5 times or more.
    """

    name = "pgmq"
    schema = "pgmq"

    def _asked(self, queue: Queue) -> str:
        schema = queue.schema or self.schema
        try:
            names = Tables(schema, ())
            self._names = names
            return names("SELECT queue_name FROM {t[meta]} ORDER BY queue_name") if not self._queues else ""
        except ValueError as error:
            raise BadField("schema", str(error)) from None

    async def ask(self, session: Session) -> dict[str, Any]:
        queues, left_out = self._queues, ""
        if not queues:
            rows = await session.rows(self._question, limit=_MOST_QUEUES + 1)
            queues = tuple(str(row.get("queue_name")) for row in rows[:_MOST_QUEUES])
            if len(rows) > _MOST_QUEUES:
                left_out = f"more than {_MOST_QUEUES} queues: name those that count with `queues`"
        if not queues:
            return {"depth": 0, "everything": 0, "lag": 0}
        try:
            sql = question(self._described(queues), self._names)
        except ValueError as error:
            raise LookFailed(Reason.PROTOCOL, visible(str(error))) from error
        rows = await session.rows(sql, limit=1)
        return {**rows[0], "note left_out": left_out} if rows else {}

    def _described(self, queues: tuple[str, ...]) -> Description:
        def each(what: str, where: str) -> str:
            return " UNION ALL ".join(
                f"SELECT {what.replace('QUEUE', _braced(literal(queue)))} "
                # pgmq makes the names of its tables lower case.
                f"FROM {_braced(self._names.table(f'q_{queue.lower()}'))} WHERE {where}"
                for queue in queues
            )

        def count(where: str) -> str:
            return f"SELECT sum(jobs) FROM ({each('count(*) AS jobs', where)}) AS each_queue"

        return Description(
            waiting=by_queue(each("QUEUE::text AS queue, vt AS since", "vt <= now()")),
            counts={
                "in_flight": count("vt > now() AND read_ct > 0"),
                "scheduled": count("vt > now() AND read_ct = 0"),
            },
            notes={"read_often": count("vt <= now() AND read_ct >= 5")},
        )


def _braced(text: str) -> str:
    """As a description has to have it."""
    return text.replace("{", "{{").replace("}", "}}")
