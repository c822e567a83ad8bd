"""What each command takes, by subject. Only argparse is imported here: `--help` answers at once."""
