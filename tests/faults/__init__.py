"""Real agents in trouble of their own: paused, with a clock that is set, without descriptors, memory or names.

What holds for all: nobody is paged for our own trouble, nothing is lost, nothing is told twice.
"""
