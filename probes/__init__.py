"""Probes: one kind a file, found by `probes.registry`. See `probes.contract` for what a probe is."""
