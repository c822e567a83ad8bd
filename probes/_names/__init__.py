"""Names to addresses: the agent's own resolver, the system's, and which of them a check asks."""
