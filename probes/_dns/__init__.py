"""DNS messages: asked, read and compared; for the probe `dns`, and for the agent's own resolver (`_names`)."""
