# ruff: noqa: S608  (SQL is put together of this package's own texts, and of names that are quoted)
"""Solid Queue, GoodJob, Que and delayed_job: queues in PostgreSQL that Ruby on Rails applications use."""

from __future__ import annotations

from probes.queue.tables import SMALL, Description, OnPostgres, by_queue


class SolidQueue(OnPostgres):
    """Solid Queue 1 (Rails), by schema: its tables as `db/queue_schema.rb` has them. `dsn` is its database, often one
    of its own, such as `app_production_queue`.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | ready executions since `created_at`; scheduled ones whose time has come, since then |
    | `scheduled` | scheduled executions of later (Active Job's retries are among them) |
    | `in_flight`, `failed` | claimed and failed executions |
    | `workers` | processes of kind Worker with a heartbeat in the last 5 minutes that serve one of the queues |
    | `paused`, `held` | `solid_queue_pauses` |

    Scheduled executions whose time has come wait for a dispatcher: they are lag, or nobody would notice that it is
    gone. `blocked` (evidence) are jobs that a concurrency limit holds back; they could not run now. `abandoned` are
    claimed by a process without heartbeat, until the supervisor releases them. A worker that was killed is counted
    for up to 5 minutes, which is Solid Queue's own limit.
    """

    name = "solid_queue"
    described = Description(
        waiting=by_queue("""
            SELECT queue_name AS queue, {at[created_at]} AS since FROM {t[solid_queue_ready_executions]}
            WHERE {only[queue_name]}
            UNION ALL
            SELECT queue_name, {at[scheduled_at]} FROM {t[solid_queue_scheduled_executions]}
            WHERE {at[scheduled_at]} <= now() AND {only[queue_name]}"""),
        paused="SELECT queue_name AS queue FROM {t[solid_queue_pauses]} WHERE {only[queue_name]}",
        counts={
            "scheduled": """SELECT count(*) FROM {t[solid_queue_scheduled_executions]}
                WHERE {at[scheduled_at]} > now() AND {only[queue_name]}""",
            "in_flight": """SELECT count(*) FROM {t[solid_queue_claimed_executions]} AS e
                JOIN {t[solid_queue_jobs]} AS j ON j.id = e.job_id WHERE {only[j.queue_name]}""",
            "failed": """SELECT count(*) FROM {t[solid_queue_failed_executions]} AS e
                JOIN {t[solid_queue_jobs]} AS j ON j.id = e.job_id WHERE {only[j.queue_name]}""",
            "workers": """SELECT count(*) FROM {t[solid_queue_processes]}
                WHERE kind = 'Worker' AND {at[last_heartbeat_at]} > now() - interval '5 minutes'
                  AND {any_of[string_to_array(replace(metadata::json->>'queues', ' ', ''), ',')]}""",
        },
        notes={
            "blocked": """SELECT count(*) FROM {t[solid_queue_blocked_executions]} WHERE {only[queue_name]}""",
            "abandoned": """SELECT count(*) FROM {t[solid_queue_claimed_executions]} AS e
                LEFT JOIN {t[solid_queue_processes]} AS p ON p.id = e.process_id
                WHERE p.id IS NULL OR {at[p.last_heartbeat_at]} <= now() - interval '5 minutes'""",
        },
    )


_GOOD_PROCESSES = "SELECT id FROM {t[good_job_processes]} WHERE {at[updated_at]} > now() - interval '5 minutes'"


class GoodJob(OnPostgres):
    """GoodJob 4 (Rails), by schema: its tables as its install generator makes them.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | unfinished jobs whose `scheduled_at` has come and that no living process holds, since then |
    | `scheduled`, `retry` | unfinished jobs of later: without an error, or with one |
    | `in_flight` | unfinished jobs whose `locked_by_id` is a living process |
    | `failed` | finished with an error and not retried; while the table has under 200,000 rows, as no index helps |
    | `workers` | rows of `good_job_processes` that were updated in the last 5 minutes |
    | `paused`, `held` | queues in the setting `pauses` (4.9 and later); paused job classes and labels are not seen |

    A job whose process is gone waits again, as its lock is gone with the process: it counts in `depth` and `lag`
    5 minutes after the process's last sign, or at once when GoodJob has removed the process. A process counts as a
    worker whatever queues it serves, a web process without executors too. Version 3 has no `locked_by_id`: the look
    ends as `unsupported`.
    """

    name = "good_job"
    described = Description(
        waiting=by_queue(
            """
            SELECT coalesce(queue_name, 'default') AS queue, {at[coalesce(scheduled_at, created_at)]} AS since
            FROM {t[good_jobs]}
            WHERE finished_at IS NULL AND (scheduled_at IS NULL OR {at[scheduled_at]} <= now())
              AND {only[coalesce(queue_name, 'default')]}
              AND (locked_by_id IS NULL OR locked_by_id NOT IN ("""
            + _GOOD_PROCESSES
            + "))"
        ),
        paused="""
            SELECT name AS queue FROM {t[good_job_settings]} AS setting, jsonb_array_elements_text(
                CASE WHEN jsonb_typeof(setting.value->'queues') = 'array' THEN setting.value->'queues' END) AS name
            WHERE setting.key = 'pauses' AND {only[name]}""",
        counts={
            "scheduled": """SELECT count(*) FROM {t[good_jobs]} WHERE finished_at IS NULL AND error IS NULL
                AND {at[scheduled_at]} > now() AND {only[coalesce(queue_name, 'default')]}""",
            "retry": """SELECT count(*) FROM {t[good_jobs]} WHERE finished_at IS NULL AND error IS NOT NULL
                AND {at[scheduled_at]} > now() AND {only[coalesce(queue_name, 'default')]}""",
            "in_flight": f"""SELECT count(*) FROM {{t[good_jobs]}} WHERE finished_at IS NULL
                AND locked_by_id IN ({_GOOD_PROCESSES}) AND {{only[coalesce(queue_name, 'default')]}}""",
            "failed": f"""CASE WHEN (SELECT reltuples FROM pg_class WHERE oid = '{{t[good_jobs]}}'::regclass)
                < {SMALL} THEN (SELECT count(*) FROM {{t[good_jobs]}} WHERE finished_at IS NOT NULL
                AND error IS NOT NULL AND retried_good_job_id IS NULL
                AND {{only[coalesce(queue_name, 'default')]}}) END""",
            "workers": f"SELECT count(*) FROM ({_GOOD_PROCESSES}) AS living",
        },
    )


_QUE_OPEN = "finished_at IS NULL AND expired_at IS NULL AND {only[queue]}"
_QUE_LOCKED = """SELECT (classid::bigint << 32) + objid::bigint AS id FROM pg_locks WHERE locktype = 'advisory'
    AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Que(OnPostgres):
    """Que 1 and 2 (Ruby), by schema: `que_jobs` and `que_lockers` as its migrations 4 to 7 make them.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | open jobs whose `run_at` has come and that nobody has locked, since then |
    | `scheduled`, `retry` | open jobs of later: without an error, or with one |
    | `in_flight` | open jobs on whose id there is an advisory lock: workers take some ahead |
    | `failed` | jobs with `expired_at`: tried for the last time |
    | `workers` | `worker_count` of lockers whose connection lives and that serve one of the queues |

    A lock ends with the connection that has it, so a job of a dead worker waits again at once; with PgBouncer between
    Que and the database the locks are the pooler's. Que cannot be paused. A retry's `run_at` is in the future, and it
    begins to wait anew when it comes.
    """

    name = "que"
    described = Description(
        waiting=by_queue(
            "SELECT queue, run_at AS since FROM {t[que_jobs]} WHERE run_at <= now() AND "
            + _QUE_OPEN
            + f" AND id NOT IN ({_QUE_LOCKED})"
        ),
        counts={
            "scheduled": "SELECT count(*) FROM {t[que_jobs]} WHERE run_at > now() AND error_count = 0 AND "
            + _QUE_OPEN,
            "retry": "SELECT count(*) FROM {t[que_jobs]} WHERE run_at > now() AND error_count > 0 AND " + _QUE_OPEN,
            "in_flight": f"SELECT count(*) FROM {{t[que_jobs]}} WHERE {_QUE_OPEN} AND id IN ({_QUE_LOCKED})",
            "failed": """SELECT count(*) FROM {t[que_jobs]}
                WHERE expired_at IS NOT NULL AND finished_at IS NULL AND {only[queue]}""",
            "workers": """SELECT coalesce(sum(worker_count), 0) FROM {t[que_lockers]}
                WHERE pid IN (SELECT pid FROM pg_stat_activity) AND {any_of[queues]}""",
        },
    )


_DELAYED_FREE = "(locked_at IS NULL OR {at[locked_at]} <= now() - interval '4 hours')"
_DELAYED_OPEN = "failed_at IS NULL AND {only[coalesce(queue, '')]}"


class DelayedJob(OnPostgres):
    """delayed_job 4 (Rails), by schema: the table `delayed_jobs`, or the one that `table` names.

    | Figure | From |
    | --- | --- |
    | `depth`, `lag` | jobs whose `run_at` has come and that are not locked, since then |
    | `scheduled`, `retry` | jobs of later: never tried, or tried before |
    | `in_flight` | locked jobs |
    | `failed` | jobs with `failed_at` |

    A job that a dead worker had locked is tried again after `max_run_time`, 4 hours as a rule; from then on it waits.
    delayed_job writes down nothing of its workers but the locks they hold: `workers` is unknown, and `stalled_for`
    tells when they are gone. It cannot be paused.
    """

    name = "delayed_job"
    renamed = "delayed_jobs"
    takes = frozenset({"queues", "schema", "table"})
    described = Description(
        waiting=by_queue(
            f"""SELECT coalesce(queue, '') AS queue, greatest({{at[run_at]}},
                {{at[locked_at]}} + interval '4 hours') AS since FROM {{t[delayed_jobs]}}
            WHERE {{at[run_at]}} <= now() AND {_DELAYED_FREE} AND {_DELAYED_OPEN}"""
        ),
        counts={
            "scheduled": f"""SELECT count(*) FROM {{t[delayed_jobs]}}
                WHERE {{at[run_at]}} > now() AND attempts = 0 AND locked_at IS NULL AND {_DELAYED_OPEN}""",
            "retry": f"""SELECT count(*) FROM {{t[delayed_jobs]}}
                WHERE {{at[run_at]}} > now() AND attempts > 0 AND locked_at IS NULL AND {_DELAYED_OPEN}""",
            "in_flight": f"SELECT count(*) FROM {{t[delayed_jobs]}} WHERE NOT {_DELAYED_FREE} AND {_DELAYED_OPEN}",
            "failed": """SELECT count(*) FROM {t[delayed_jobs]}
                WHERE failed_at IS NOT NULL AND {only[coalesce(queue, '')]}""",
        },
    )
