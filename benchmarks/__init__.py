"""Measurements against fixed data; imported by nothing."""
