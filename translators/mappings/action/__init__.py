"""Mappings of route actions: where requests go, and what is changed on the way."""
