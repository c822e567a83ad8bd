"""The engine of Brownout: schedules looks, judges what they saw, and delivers what changed."""
