"""The probe `error_rate`: which part of a service's requests fails, wherever they are counted."""

from probes.error_rate.probe import ErrorRate

__all__ = ["ErrorRate"]
