"""The probe `postgres`: how near a PostgreSQL is to its limits, and who holds up whom."""

from probes.postgres.probe import Postgres

__all__ = ["Postgres"]
