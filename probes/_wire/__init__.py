"""Sockets that the loop watches for a look: names dialled, bytes timed, TLS left to its own package."""
