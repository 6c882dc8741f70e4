"""Mappings of HTTP filters: what each does on a route, and when it does nothing at all."""
