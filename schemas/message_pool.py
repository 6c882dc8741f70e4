"""A private descriptor pool from a descriptor set that the build has made (docs/adr/0002)."""

from __future__ import annotations

from importlib.resources import files

from google.protobuf import descriptor_pb2, descriptor_pool


def load_pool(name: str) -> descriptor_pool.DescriptorPool:
    """Load a descriptor set of this package.

    Args:
        name: of the file, such as `xds.binpb`.

    Raises:
        RuntimeError: the build product is missing (the package was not installed, only copied).
    """
    resource = files("schemas") / name
    if not resource.is_file():
        raise RuntimeError(f"schemas/{name} is missing: install the package (`make .venv`), do not run from a copy")
    loaded = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(resource.read_bytes()).file:
        loaded.Add(file)
    return loaded
