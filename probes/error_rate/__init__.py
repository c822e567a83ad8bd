"""The probe `error_rate`: which part of a service's requests fails, wherever they are counted."""
