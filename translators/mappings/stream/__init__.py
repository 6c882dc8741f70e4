"""Mappings of L4 listeners."""
