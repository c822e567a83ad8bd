"""The agent's own machine: /proc, mounts, programs, and calls that may hang."""
