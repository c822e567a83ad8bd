"""What parses the bytes of a target, fuzzed: by Hypothesis in every run of the tests, for an hour by `make fuzz`."""
