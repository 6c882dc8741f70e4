"""Mappings of ClusterLoadAssignment."""
