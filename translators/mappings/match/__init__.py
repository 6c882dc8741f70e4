"""Mappings of the fields of RouteMatch, one per file (mapping.md section 5.5)."""
