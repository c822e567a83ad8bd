"""The commands of the command line: one module each, with `execute(options) -> exit code`."""
