"""What arrives: when it is expected, and whether anybody was there to hear."""
