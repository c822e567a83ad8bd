"""Benchmarks: `python -m bench` runs all, `python -m bench.NAME` one; `--quick` takes seconds and judges nothing.

Each prints one comparable line and exits with 1 when a figure is over its limit. Targets are on loopback only.
"""
