# ruff: noqa: S608  (SQL is put together of this package's own texts, and of names that are quoted)
"""Oban, River and graphile-worker: queues in PostgreSQL that Elixir, Go and Node.js applications use."""

from __future__ import annotations

from probes.queue.tables import Description, OnPostgres, by_queue

_UTC = "(now() AT TIME ZONE 'UTC')"


class Oban(OnPostgres):
    """Oban 2.11 and later (Elixir), by schema: its migrations 11 to 13. `schema` is Oban's prefix.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | jobs `available`, since `scheduled_at`; `scheduled`, `retryable` ones whose time has come |
    | `scheduled`, `retry` | jobs `scheduled` and `retryable` for later |
    | `in_flight` | jobs `executing` |
    | `failed` | jobs `discarded`, as long as the pruner leaves them |
    | `workers` | 1 while a node is the elected leader in `oban_peers`, 0 when the last one's term is over |

    What is due and not yet available waits for the leader, which makes it available every second: it is lag, or
    nobody would notice that no node is left. Where `oban_peers` is empty (`peer: false`, or all were shut down) there
    is no `workers`; how many nodes there are is only known to Oban Pro. Oban keeps pauses in the memory of its
    nodes, so a paused queue looks like one that nobody serves. Jobs that a dead node left `executing` stay in flight
    until the Lifeline plug-in rescues them.
    """

    name = "oban"
    described = Description(
        waiting=by_queue(
            f"""SELECT queue, scheduled_at AT TIME ZONE 'UTC' AS since FROM {{t[oban_jobs]}}
            WHERE (state = 'available' OR state IN ('scheduled', 'retryable') AND scheduled_at <= {_UTC})
              AND {{only[queue]}}"""
        ),
        counts={
            "scheduled": f"""SELECT count(*) FROM {{t[oban_jobs]}}
                WHERE state = 'scheduled' AND scheduled_at > {_UTC} AND {{only[queue]}}""",
            "retry": f"""SELECT count(*) FROM {{t[oban_jobs]}}
                WHERE state = 'retryable' AND scheduled_at > {_UTC} AND {{only[queue]}}""",
            "in_flight": "SELECT count(*) FROM {t[oban_jobs]} WHERE state = 'executing' AND {only[queue]}",
            "failed": "SELECT count(*) FROM {t[oban_jobs]} WHERE state = 'discarded' AND {only[queue]}",
            "workers": f"SELECT max((expires_at > {_UTC})::int) FROM {{t[oban_peers]}}",
        },
        notes={"leader": f"SELECT string_agg(node, ', ') FROM {{t[oban_peers]}} WHERE expires_at > {_UTC}"},
    )


class River(OnPostgres):
    """River 0.5 and later (Go), by schema: its migrations 2 to 6.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | jobs `available`, since `scheduled_at`; `scheduled`, `retryable` ones whose time has come |
    | `scheduled`, `retry` | jobs `scheduled` and `retryable` for later |
    | `in_flight` | jobs `running` |
    | `failed` | jobs `discarded`, as long as the cleaner leaves them (7 days as a rule) |
    | `workers` | 1 while some client is the elected leader in `river_leader`, else 0 |
    | `paused`, `held` | `paused_at` of `river_queue` |

    What is due and not yet available waits for the leader's scheduler, which comes by every 5 seconds. River
    writes down no list of its clients: every client that works takes part in the election, so without a leader there
    is none. `pending` jobs belong to workflows and wait for others: they are counted nowhere. Jobs that a dead client
    left `running` stay in flight until the leader rescues them, after an hour as a rule.
    """

    name = "river"
    described = Description(
        waiting=by_queue(
            """SELECT queue, scheduled_at AS since FROM {t[river_job]}
            WHERE (state = 'available' OR state IN ('scheduled', 'retryable') AND scheduled_at <= now())
              AND {only[queue]}"""
        ),
        paused="SELECT name AS queue FROM {t[river_queue]} WHERE paused_at IS NOT NULL AND {only[name]}",
        counts={
            "scheduled": """SELECT count(*) FROM {t[river_job]}
                WHERE state = 'scheduled' AND scheduled_at > now() AND {only[queue]}""",
            "retry": """SELECT count(*) FROM {t[river_job]}
                WHERE state = 'retryable' AND scheduled_at > now() AND {only[queue]}""",
            "in_flight": "SELECT count(*) FROM {t[river_job]} WHERE state = 'running' AND {only[queue]}",
            "failed": "SELECT count(*) FROM {t[river_job]} WHERE state = 'discarded' AND {only[queue]}",
            "workers": "SELECT count(*) FROM {t[river_leader]} WHERE expires_at > now()",
        },
    )


_GRAPHILE = """{t[_private_jobs]} AS job JOIN {t[_private_tasks]} AS task ON task.id = job.task_id"""
_STALE = "now() - interval '4 hours'"
"""graphile-worker lets go of a lock that is older."""
_GRAPHILE_FREE = f"(job.locked_at IS NULL OR job.locked_at <= {_STALE}) AND job.attempts < job.max_attempts"


class GraphileWorker(OnPostgres):
    """graphile-worker 0.16 and later (Node.js), tested with the library itself. `schema` is `graphile_worker` unless
    it is written; the role needs to read `_private_jobs`, `_private_tasks` and `_private_job_queues` there.

    What a job queue is elsewhere is a task here, so `queues` are names of tasks; graphile-worker's own named queues
    only make jobs run one after another.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | jobs whose `run_at` has come, that nobody has locked and that have attempts left, since then |
    | `scheduled`, `retry` | such jobs of later: never tried, or tried before |
    | `in_flight` | locked jobs |
    | `failed` | jobs without attempts left |

    Of the jobs in a named queue none could run while another of them does: they are not counted, and the evidence
    `behind_another` has their number. A lock is given up after 4 hours: only then does the job of a worker that
    was killed wait again, and count. Workers write down nothing of themselves but the locks they hold: `workers` is
    unknown, and `stalled_for` tells when they are gone. Versions before 0.16 have other tables: `missing`.
    """

    name = "graphile_worker"
    schema = "graphile_worker"
    described = Description(
        waiting=by_queue(
            f"""SELECT task.identifier AS queue, greatest(job.run_at, job.created_at,
                job.locked_at + interval '4 hours') AS since FROM {_GRAPHILE}
            LEFT JOIN {{t[_private_job_queues]}} AS line ON line.id = job.job_queue_id
            WHERE job.run_at <= now() AND {_GRAPHILE_FREE}
              AND (line.locked_at IS NULL OR line.locked_at <= {_STALE}) AND {{only[task.identifier]}}"""
        ),
        counts={
            "scheduled": f"""SELECT count(*) FROM {_GRAPHILE} WHERE job.run_at > now() AND job.attempts = 0
                AND {_GRAPHILE_FREE} AND {{only[task.identifier]}}""",
            "retry": f"""SELECT count(*) FROM {_GRAPHILE} WHERE job.run_at > now() AND job.attempts > 0
                AND {_GRAPHILE_FREE} AND {{only[task.identifier]}}""",
            "in_flight": f"""SELECT count(*) FROM {_GRAPHILE}
                WHERE job.locked_at > {_STALE} AND {{only[task.identifier]}}""",
            "failed": f"""SELECT count(*) FROM {_GRAPHILE} WHERE job.attempts >= job.max_attempts
                AND job.locked_at IS NULL AND {{only[task.identifier]}}""",
        },
        notes={
            "behind_another": f"""SELECT count(*) FROM {_GRAPHILE}
                JOIN {{t[_private_job_queues]}} AS line ON line.id = job.job_queue_id
                WHERE job.run_at <= now() AND {_GRAPHILE_FREE} AND line.locked_at > {_STALE}
                  AND {{only[task.identifier]}}""",
        },
    )
