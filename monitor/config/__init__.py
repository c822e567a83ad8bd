"""checks.yaml: read once, every fault reported at once, finished into frozen values."""
