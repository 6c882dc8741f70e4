"""Mappings of DownstreamTlsContext and secrets."""
