"""Build step: one FileDescriptorSet with every xDS message, taken from the xds-protos package.

Run by hatchling when the distribution (or an editable install of it) is built; the result, schemas/xds.binpb, is a
build product and never committed. See docs/adr/0002-private-descriptor-pool.md.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("envoy", "xds", "udpa", "validate", "cel", "google.api", "google.rpc", "opencensus", "opentelemetry")


class DescriptorSetHook(BuildHookInterface):  # type: ignore[misc]  # hatchling ships no types
    """Writes schemas/xds.binpb before the distribution is packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the descriptor set into the source tree and add it to the build.

        Args:
            version: the build target's version, unused.
            build_data: hatchling's build data, extended in place.
        """
        del version
        target = Path(self.root) / "schemas" / "xds.binpb"
        target.write_bytes(descriptor_set())
        build_data["artifacts"].append("schemas/xds.binpb")


def descriptor_set() -> bytes:
    """Collect the files of all installed xDS packages, dependencies first.

    Returns:
        A serialised google.protobuf.FileDescriptorSet.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: PLC0415 - present in the build environment

    for package in PACKAGES:
        for module in _modules(package):
            importlib.import_module(module)
    collected = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        file = descriptor_pool.Default().FindFileByName(name)
        for dependency in file.dependencies:
            add(dependency.name)
        file.CopyToProto(collected.file.add())

    for package in PACKAGES:
        for module in _modules(package):
            add(module.removesuffix("_pb2").replace(".", "/") + ".proto")
    return collected.SerializeToString(deterministic=True)


def _modules(package: str) -> list[str]:
    """Names of the generated message modules below a package, sorted; packages may lack __init__ files."""
    try:
        root = importlib.import_module(package)
    except ModuleNotFoundError:
        return []
    found = []
    for base in root.__path__:
        for path in sorted(Path(base).rglob("*_pb2.py")):
            relative = path.relative_to(base).with_suffix("")
            found.append(".".join((package, *relative.parts)))
    return found
