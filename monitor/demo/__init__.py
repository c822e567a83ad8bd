"""`brownout demo`: a sample shop goes bad in every way and recovers, while a real agent watches it."""
