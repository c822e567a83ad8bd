"""What takes minutes and not seconds: `make soak`. Each part prints its seed, how far it is, and a verdict."""
