"""From the bytes of a file to resources: pure, the caller reads files and watches them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from producers.files.data_source import fill_data_sources
from producers.files.document import UnreadableDocumentError, line_of, read_tree, shown
from producers.files.fit import Budget, TooLargeError, fit
from producers.files.layout import UnknownLayoutError, read_layout
from producers.files.route_fault import mend
from producers.source import Note, ResourceChange, SourceProblem
from producers.traversal import find, rewrite
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable

    from producers.files.document import Path
    from producers.files.fit import Fitted, Misfit
    from producers.files.layout import Layout, Located
    from producers.files.route_fault import Fault

NODES_PER_BYTE = 4
MIN_NODES = 1_000_000
MAX_REPORTED = 20
ROUTING = frozenset({xds.LISTENER, xds.ROUTE_CONFIGURATION})
ROUTE_CONFIGURATION = xds.ROUTE_CONFIGURATION.rpartition("/")[2]
CONFIG_SOURCE = "envoy.config.core.v3.ConfigSource"
REDACTED = b"[redacted]"
NAMED = frozenset({xds.CLUSTER, xds.CLUSTER_LOAD_ASSIGNMENT, xds.SECRET})
"""Types whose resources are found by name only: without one they are nothing."""
REMEDY = "correct it"


class ParsedFile(NamedTuple):
    """What a file holds."""

    resources: tuple[ResourceChange, ...]
    notes: tuple[Note, ...]
    """Findings about resources that were taken."""
    problems: tuple[SourceProblem, ...]
    """Reasons not to take the file over a good state; `resources` then holds what could be read all the same."""
    follows: tuple[str, ...] = ()
    """Other files of resources that this one subscribes to (Envoy's filesystem subscriptions), as they are named."""


def parse(
    data: bytes,
    source: str,
    read: Callable[[str], bytes] | None = None,
    *,
    is_strict: bool = False,
    is_part: bool = False,
) -> ParsedFile:
    """Parse an Envoy bootstrap, a resource list, a config_dump or a DiscoveryResponse, as YAML or JSON.

    Args:
        data: the file's bytes.
        source: its name, for messages.
        read: reads a file that a bootstrap's DataSource names; raises OSError. None leaves file names as they are.
        is_strict: unknown fields and missing files in a bootstrap are problems, as they are to Envoy; otherwise unknown
            fields are noted and file names stay.
        is_part: a file that another one subscribes to, or one of a directory: it is on the machine it was written for,
            so that the files it names are read, too.
    """
    try:
        tree = read_tree(data)
        layout = read_layout(tree)
        parser = _Parser(data, source, read, is_strict=is_strict and layout.is_static, demands_files=is_strict)
        return parser.parse(layout, is_part=is_part)
    except UnreadableDocumentError as error:
        return ParsedFile((), (), (SourceProblem(_place(source, error.line), str(error), REMEDY),))
    except (UnknownLayoutError, TooLargeError) as error:
        return ParsedFile((), (), (SourceProblem(source, str(error), REMEDY),))


class _Parser:
    def __init__(
        self, data: bytes, source: str, read: Callable[[str], bytes] | None, *, is_strict: bool, demands_files: bool
    ) -> None:
        self._data = data
        self._source = source
        self._read = read
        self._is_strict = is_strict
        self._demands_files = demands_files
        self._resources: dict[tuple[str, str], ResourceChange] = {}
        self._notes: list[Note] = []
        self._problems: list[SourceProblem] = []
        self._follows: list[str] = []

    def parse(self, layout: Layout, *, is_part: bool) -> ParsedFile:
        budget = Budget(max(MIN_NODES, NODES_PER_BYTE * len(self._data)))
        for located in layout.located:
            self._take(located, budget, reads_files=layout.is_static or is_part)
        follows = dict.fromkeys((*layout.follows, *self._follows))
        problems = tuple(self._problems[:MAX_REPORTED])
        return ParsedFile(tuple(self._resources.values()), tuple(self._notes), problems, tuple(follows))

    def _take(self, located: Located, budget: Budget, *, reads_files: bool) -> None:
        if not xds.is_known(located.type_url):
            opaque = xds.message_class("google.protobuf.Any")(type_url=located.type_url)
            self._add(located, _tree_name(located), opaque)
            return
        fitted = fit(located.type_url, located.tree, budget)
        name = _tree_name(located) if fitted.message is None else _name(fitted.message, located)
        self._report(fitted, located, name)
        if fitted.message is None:
            return
        self._mend(fitted.message, located, name)
        if reads_files and self._read is not None:
            self._fill(fitted.message, located, self._read)
            self._follows += (path for found in find(fitted.message, CONFIG_SOURCE) if (path := _followed(found)))
        if (
            located.path[0] == "configs"
            and located.type_url == xds.SECRET
            and REDACTED in fitted.message.SerializeToString()
        ):
            message = "the dump does not show the secret; it is left out"
            self._notes.append(Note("SEC-PENDING", located.type_url, name, shown(located.path), message))
            return
        if located.type_url in NAMED and name == _ordinal(located):
            self._complain(located, name, f"a {located.type_url.rpartition('.')[2]} without a name; it is left out")
        else:
            self._add(located, name, fitted.message)

    def _add(self, located: Located, name: str, message: xds.Message) -> None:
        key = (located.type_url, name)
        change = ResourceChange(located.type_url, name, message, located.version_info)
        present = self._resources.setdefault(key, change)
        if present is change or present.body == message:
            return
        text = f"{located.type_url.rpartition('.')[2]} {name} stands twice with different content; the first is used"
        self._complain(located, name, text)

    def _complain(self, located: Located, name: str, text: str) -> None:
        if self._is_strict:
            self._problem(located.path, text)
        else:
            self._notes.append(Note("CFG-INVALID", located.type_url, name, shown(located.path), text))

    def _fill(self, message: xds.Message, located: Located, read: Callable[[str], bytes]) -> None:
        for missing in fill_data_sources(message, read):
            if self._demands_files:
                self._problem(located.path, missing)

    def _report(self, fitted: Fitted, located: Located, name: str) -> None:
        for misfit in fitted.wrong_values:
            self._problem((*located.path, *misfit.path), misfit.message)
        for misfit in fitted.unknown_fields:
            if self._is_strict:
                self._problem((*located.path, *misfit.path), misfit.message)
            else:
                self._notes.append(_unknown_field(misfit, located, name))

    def _mend(self, message: xds.Message, located: Located, name: str) -> None:
        if located.type_url in ROUTING:
            faults: list[Fault] = []
            rewrite(message, ROUTE_CONFIGURATION, lambda found: faults.extend(mend(found)))
            for fault in faults:
                self._complain(located, name, f"RouteConfiguration {fault}")

    def _problem(self, path: Path, message: str) -> None:
        if len(self._problems) < MAX_REPORTED:
            place = f"{_place(self._source, line_of(self._data, path))}: {shown(path)}"
            self._problems.append(SourceProblem(place, message, REMEDY))


def _followed(source: xds.Message) -> str:
    """Give the file that a ConfigSource names; `path` is the form that `path_config_source` has replaced."""
    specifier = source.WhichOneof("config_source_specifier")
    return str(source.path_config_source.path if specifier == "path_config_source" else source.path)


def _unknown_field(misfit: Misfit, located: Located, name: str) -> Note:
    return Note("CFG-UNKNOWN-FIELD", located.type_url, name, shown(misfit.path), misfit.message)


def _place(source: str, line: int) -> str:
    return f"{source}:{line}" if line else source


def _name(message: xds.Message, located: Located) -> str:
    """Give a resource's name; an unnamed Listener gets one from its address, in place, as it must have one."""
    for field in ("name", "cluster_name"):
        if field in message.DESCRIPTOR.fields_by_name and (name := getattr(message, field)):
            return str(name)
    if located.type_url == xds.LISTENER:
        message.name = _address_name(message.address) or _ordinal(located)
        return str(message.name)
    return _ordinal(located)


def _address_name(address: xds.Message) -> str:
    kind = address.WhichOneof("address")
    if kind == "socket_address":
        return f"{address.socket_address.address}_{address.socket_address.port_value}"
    return re.sub(r"\W+", "_", address.pipe.path) if kind == "pipe" else ""


def _tree_name(located: Located) -> str:
    tree: Any = located.tree if isinstance(located.tree, dict) else {}
    name = tree.get("name") or tree.get("cluster_name") or tree.get("clusterName")
    return name if isinstance(name, str) else _ordinal(located)


def _ordinal(located: Located) -> str:
    return f"unnamed-{located.path[-1]}"
