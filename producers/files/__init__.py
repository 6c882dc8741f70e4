"""Envoy configuration files as a source."""
