"""Mappings of Cluster and of the route settings that shape an upstream."""
