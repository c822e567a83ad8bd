"""Sinks: where events go, one kind a file, found by `monitor.sinks.registry`."""
