from tests.conformance.fixture import client, port, shop

__all__ = ["client", "port", "shop"]
