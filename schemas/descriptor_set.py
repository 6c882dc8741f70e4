"""Build step: the descriptor sets of the messages that are spoken.

Every xDS message is taken from the xds-protos package, those of the etcd v3 API are compiled from schemas/protos. Run
by hatchling when the distribution (or an editable install of it) is built; the results, schemas/xds.binpb and
schemas/etcd.binpb, are build products and never committed. See docs/adr/0002-private-descriptor-pool.md.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("envoy", "xds", "udpa", "validate", "cel", "google.api", "google.rpc", "opencensus", "opentelemetry")


class DescriptorSetHook(BuildHookInterface):  # type: ignore[misc]  # hatchling ships no types
    """Writes schemas/*.binpb before the distribution is packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the descriptor sets into the source tree and add them to the build.

        Args:
            version: the build target's version, unused.
            build_data: hatchling's build data, extended in place.
        """
        del version
        schemas = Path(self.root) / "schemas"
        (schemas / "xds.binpb").write_bytes(descriptor_set())
        (schemas / "etcd.binpb").write_bytes(compile_protos(schemas / "protos"))
        build_data["artifacts"] += ["schemas/xds.binpb", "schemas/etcd.binpb"]


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


def compile_protos(directory: Path) -> bytes:
    """Compile the .proto files of a directory.

    Returns:
        A serialised google.protobuf.FileDescriptorSet.

    Raises:
        RuntimeError: the compiler has printed what is wrong with them.
    """
    from grpc_tools import protoc  # noqa: PLC0415 - present in the build environment

    names = sorted(path.name for path in directory.glob("*.proto"))
    with TemporaryDirectory() as temporary:
        target = Path(temporary) / "set"
        if protoc.main(["protoc", f"--proto_path={directory}", f"--descriptor_set_out={target}", *names]):
            raise RuntimeError(f"{directory}: the .proto files cannot be compiled; the compiler's message is above")
        return target.read_bytes()


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
