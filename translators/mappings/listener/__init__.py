"""Mappings of listeners and filter chains (mapping.md sections 4.1 to 4.3)."""
