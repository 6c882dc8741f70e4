from tests.conformance.fixture import client

__all__ = ["client"]
