"""Where the agent's own memory lives: the contract, SQLite for real, memory for tests."""
