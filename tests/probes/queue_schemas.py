"""Tables of queues whose own libraries do not run here, laid out as their migrations make them, by back end.

Only what touches reading is kept: columns with their types, defaults, and the indexes. No function, no trigger.
"""

from __future__ import annotations

SOLID_QUEUE = """
CREATE TABLE solid_queue_jobs (
    id bigserial PRIMARY KEY, queue_name varchar NOT NULL, class_name varchar NOT NULL, arguments text,
    priority int DEFAULT 0 NOT NULL, active_job_id varchar, scheduled_at timestamp(6), finished_at timestamp(6),
    concurrency_key varchar, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE INDEX ON solid_queue_jobs (queue_name, finished_at);
CREATE TABLE solid_queue_ready_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority int DEFAULT 0 NOT NULL, created_at timestamp(6) NOT NULL);
CREATE INDEX ON solid_queue_ready_executions (queue_name, priority, job_id);
CREATE TABLE solid_queue_scheduled_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority int DEFAULT 0 NOT NULL, scheduled_at timestamp(6) NOT NULL, created_at timestamp(6) NOT NULL);
CREATE INDEX ON solid_queue_scheduled_executions (scheduled_at, priority, job_id);
CREATE TABLE solid_queue_claimed_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, process_id bigint, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_blocked_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority int DEFAULT 0 NOT NULL, concurrency_key varchar NOT NULL, expires_at timestamp(6) NOT NULL,
    created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_failed_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, error text, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_pauses (
    id bigserial PRIMARY KEY, queue_name varchar NOT NULL UNIQUE, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_processes (
    id bigserial PRIMARY KEY, kind varchar NOT NULL, last_heartbeat_at timestamp(6) NOT NULL, supervisor_id bigint,
    pid int NOT NULL, hostname varchar, metadata text, created_at timestamp(6) NOT NULL, name varchar NOT NULL);
"""

GOOD_JOB = """
CREATE TABLE good_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), queue_name text, priority int, serialized_params jsonb,
    scheduled_at timestamp(6), performed_at timestamp(6), finished_at timestamp(6), error text,
    created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL, active_job_id uuid, concurrency_key text,
    cron_key text, retried_good_job_id uuid, cron_at timestamp(6), batch_id uuid, batch_callback_id uuid,
    is_discrete boolean, executions_count int, job_class text, error_event smallint, labels text[],
    locked_by_id uuid, locked_at timestamp(6));
CREATE INDEX ON good_jobs (queue_name, scheduled_at) WHERE finished_at IS NULL;
CREATE TABLE good_job_processes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL,
    state jsonb, lock_type smallint);
CREATE TABLE good_job_settings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL,
    key text UNIQUE, value jsonb);
"""

QUE = """
CREATE TABLE que_jobs (
    priority smallint DEFAULT 100 NOT NULL, run_at timestamptz DEFAULT now() NOT NULL, id bigserial PRIMARY KEY,
    job_class text NOT NULL, error_count int DEFAULT 0 NOT NULL, last_error_message text,
    queue text DEFAULT 'default' NOT NULL, last_error_backtrace text, finished_at timestamptz,
    expired_at timestamptz, args jsonb DEFAULT '[]' NOT NULL, data jsonb DEFAULT '{}' NOT NULL,
    job_schema_version int NOT NULL DEFAULT 2, kwargs jsonb DEFAULT '{}' NOT NULL);
CREATE INDEX ON que_jobs (queue, priority, run_at, id) WHERE finished_at IS NULL AND expired_at IS NULL;
CREATE UNLOGGED TABLE que_lockers (
    pid int PRIMARY KEY, worker_count int NOT NULL, worker_priorities int[] NOT NULL, ruby_pid int NOT NULL,
    ruby_hostname text NOT NULL, queues text[] NOT NULL, listening boolean NOT NULL,
    job_schema_version int DEFAULT 1);
"""

DELAYED_JOB = """
CREATE TABLE delayed_jobs (
    id bigserial PRIMARY KEY, priority int DEFAULT 0 NOT NULL, attempts int DEFAULT 0 NOT NULL,
    handler text NOT NULL,
    last_error text, run_at timestamp(6), locked_at timestamp(6), failed_at timestamp(6), locked_by varchar,
    queue varchar, created_at timestamp(6), updated_at timestamp(6));
CREATE INDEX delayed_jobs_priority ON delayed_jobs (priority, run_at);
"""

OBAN = """
CREATE TYPE oban_job_state AS ENUM (
    'available', 'scheduled', 'executing', 'retryable', 'completed', 'discarded', 'cancelled');
CREATE TABLE oban_jobs (
    id bigserial PRIMARY KEY, state oban_job_state NOT NULL DEFAULT 'available',
    queue text NOT NULL DEFAULT 'default',
    worker text NOT NULL, args jsonb NOT NULL DEFAULT '{}', errors jsonb[] NOT NULL DEFAULT ARRAY[]::jsonb[],
    attempt int NOT NULL DEFAULT 0, max_attempts int NOT NULL DEFAULT 20,
    inserted_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    scheduled_at timestamp NOT NULL DEFAULT timezone('UTC', now()), attempted_at timestamp, completed_at timestamp,
    attempted_by text[], discarded_at timestamp, priority int NOT NULL DEFAULT 0, tags text[], meta jsonb,
    cancelled_at timestamp);
CREATE INDEX ON oban_jobs (state, queue, priority, scheduled_at, id);
CREATE UNLOGGED TABLE oban_peers (
    name text PRIMARY KEY, node text NOT NULL, started_at timestamp NOT NULL, expires_at timestamp NOT NULL);
"""

RIVER = """
CREATE TYPE river_job_state AS ENUM (
    'available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled');
CREATE TABLE river_job (
    id bigserial PRIMARY KEY, state river_job_state NOT NULL DEFAULT 'available', attempt smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL, attempted_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
    finalized_at timestamptz, scheduled_at timestamptz NOT NULL DEFAULT now(), priority smallint NOT NULL DEFAULT 1,
    args jsonb NOT NULL, attempted_by text[], errors jsonb[], kind text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    queue text NOT NULL DEFAULT 'default', tags varchar(255)[] NOT NULL DEFAULT '{}', unique_key bytea,
    unique_states bit(8));
CREATE INDEX ON river_job (state, queue, priority, scheduled_at, id);
CREATE TABLE river_queue (
    name text PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), metadata jsonb NOT NULL DEFAULT '{}',
    paused_at timestamptz, updated_at timestamptz NOT NULL);
CREATE UNLOGGED TABLE river_leader (
    elected_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, leader_id text NOT NULL,
    name text PRIMARY KEY DEFAULT 'default');
"""
