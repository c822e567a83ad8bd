"""The probe `queue`: how long jobs wait, whether anybody works on them, and when the backlog will be gone."""

from probes.queue.probe import Queue

__all__ = ["Queue"]
