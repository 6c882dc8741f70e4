"""Mappings of what an HttpConnectionManager does besides routing and filters (mapping.md sections 4.6 and 4.8)."""
