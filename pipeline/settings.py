"""One settings tree for all roles: defaults < file < environment < flags (libraries.md section 1).

The environment names a setting as `MESHFERRY_SECTION__KEY`, e.g. `MESHFERRY_AGENT__LISTEN=0.0.0.0:2379`; a name that
ends in `_FILE` gives a file whose content is the value. Values in the environment are YAML.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import yaml

from schemas.keys import DEFAULT_PREFIX, check_view

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "MESHFERRY_"


class SettingsError(ValueError):
    """The settings cannot be used; one line with the place and the remedy. Exit code 78."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section; unknown keys are refused, because a misspelt setting that is ignored is worse than an error."""


class LogSettings(_Section, frozen=True):
    """Where the log is."""

    url: str = ""
    """`sqlite:///path/log.db` or `kafka://host:9092,host2:9092?security=…`."""
    prefix: str = DEFAULT_PREFIX
    """What every topic name starts with."""
    replication: int = 1
    """Replication factor of topics that `meshferry topics apply` creates."""


class TLSSettings(_Section, frozen=True):
    """Client TLS towards a control plane."""

    ca: str = ""
    """PEM file with the authorities to trust; empty trusts the system's."""
    cert: str = ""
    """PEM file with the client certificate."""
    key: str = ""
    """PEM file with its key."""
    server_name: str = ""
    """The name that the server's certificate must have, where it is not the host of `server`."""


class IdentitySettings(_Section, frozen=True):
    """What a profile builds the xDS node from; which of it is needed, docs/control-planes.md says."""

    name: str = ""
    """Name of the proxy: workload, data plane, proxy service or Gateway."""
    namespace: str = ""
    """Its namespace."""
    ip: str = ""
    """Its address."""
    mesh: str = ""
    """The mesh: of Kuma, where it is empty for `default`; the mesh id of Istio."""
    domain: str = ""
    """DNS domain of Istio's node id; empty for `NAMESPACE.svc.cluster.local`."""
    service_account: str = ""
    """Its service account, where Istio compares it with the certificate."""


class XDSSettings(_Section, frozen=True):
    """An ADS server as the source of a view."""

    server: str | list[str]
    """host:port of the control plane, or a list of several, the preferred first."""
    profile: Literal["generic", "istio-sidecar", "istio-router", "kuma", "consul", "envoy-gateway"] = "generic"
    """Whose conventions the identity follows."""
    identity: IdentitySettings = IdentitySettings()
    """What the profile builds the identity from."""
    node_id: str = ""
    """The xDS node id this view subscribes as; empty lets the profile build it."""
    variant: Literal["", "sotw", "delta"] = ""
    """State-of-the-world or incremental; empty takes the profile's."""
    cluster: str = ""
    """node.cluster; empty takes the profile's."""
    metadata: dict[str, Any] = {}
    """node.metadata, laid over the profile's; null takes a key of the profile away."""
    locality: dict[str, str] = {}
    """node.locality: `region`, `zone`, `sub_zone`."""
    headers: dict[str, str] = {}
    """gRPC metadata of the stream, keys in lower case."""
    tls: TLSSettings | None = None
    """Absent: plaintext."""
    token_file: str = ""
    """File with a token, read again at every connect."""
    token_header: str = ""
    """The gRPC metadata key that carries it; empty takes the profile's, usually `authorization: Bearer`."""
    return_after_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """How long the first of several control planes is left alone after it failed."""
    keepalive_s: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 30
    """A connection that is silent for so long is probed."""
    max_age_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """A stream this old is opened again; 0 never."""
    max_silence_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """A stream on which no response came for so long is opened again; 0 never."""


class SourceSettings(_Section, frozen=True):
    """Where a view comes from: exactly one of `file` and `xds`."""

    file: str = ""
    """Envoy bootstrap, discovery file, resource list or config_dump, YAML or JSON; read again when it changes."""
    xds: XDSSettings | None = None
    """An ADS server."""


class GuardSettings(_Section, frozen=True):
    """What a producer holds back until `meshferry approve`: removed units, and clusters without usable endpoints."""

    share: float = 0.3
    """Share of what is published, 0 to 1, that may go within the window."""
    minimum: int = 10
    """Fewer than this may always go, unless nothing would be left."""
    window_s: float = 60
    """What went within this many seconds counts together."""


class ViewSettings(_Section, frozen=True):
    """A view: one subscription identity and the set of nodes that share what it receives."""

    source: SourceSettings = SourceSettings()
    """Where it comes from."""
    guard: GuardSettings | bool = GuardSettings()
    """When removals are held; `off` lets everything pass."""
    policy: dict[str, Any] = {}
    """Decisions about translation: `overrides`, `path_matching`, `port_map`, …; codes in docs/diagnostics.md."""


class SealSettings(_Section, frozen=True):
    """Keys that private keys are sealed with."""

    directory: str = ""
    """Holds the key pair of the embedded mode, made on first use with mode 0600; producer and agent share it."""


class TranslatorSettings(_Section, frozen=True):
    """The translator role."""

    group: str = "meshferry-translator"
    """Workers of one group share the views."""
    schemas: str = ""
    """File of `meshferry schemas pull`: objects are validated as the nodes do. Read again with the settings."""


class RemovalSettings(_Section, frozen=True):
    """What an agent refuses to lose at once, behind the guard of the producer."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.8
    """A bundle that would remove more than this share of all objects is rejected; 1 takes any."""
    minimum: Annotated[int, msgspec.Meta(ge=0)] = 100
    """Fewer objects than this may always go."""


class ServerTLSSettings(_Section, frozen=True):
    """TLS on the agent's port. The files are read again when they change; open connections stay."""

    certificate: str
    """PEM file with the server's certificate and what leads to its authority."""
    private_key: str
    """PEM file with its key, without a passphrase."""
    client_ca: str = ""
    """PEM file with the authorities of client certificates; empty asks clients for none."""
    is_client_certificate_required: bool | None = None
    """Whether clients without a certificate are refused; by default they are where `client_ca` is given."""


class UserSettings(_Section, frozen=True):
    """A user of the agent's etcd API: APISIX's `deployment.etcd.user`. With any user, requests need a token."""

    password: str = ""
    """Its password; better in a file."""
    password_file: str = ""
    """File with its password."""
    prefixes: list[str] = []
    """What the keys it names must begin with; none gives `agent.prefix`, one that is empty allows all keys."""

    def __repr__(self) -> str:
        return f"UserSettings(password_file={self.password_file!r}, prefixes={self.prefixes!r})"


class AgentSettings(_Section, frozen=True):
    """The agent role."""

    view: str = ""
    """The view this node follows; may be empty when only one view is configured."""
    node: str = ""
    """Node id in status records; empty takes the host name."""
    listen: str = "127.0.0.1:2379"
    """host:port of the etcd API."""
    prefix: str = "/apisix"
    """APISIX's `deployment.etcd.prefix`."""
    state: str = "/var/lib/meshferry/agent"
    """Directory of the last-known-good state, of this view and prefix alone: that of others is refused."""
    supervise: bool = True
    """A tiny parent holds the listening socket while what serves comes and goes, unless systemd does."""
    max_new_watches_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """New watches above this rate get 503 and come back in 3 to 4 s, all at once they never do; 0 takes all."""
    removal: RemovalSettings = RemovalSettings()
    """What may be removed at once."""
    max_router_rebuilds_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Changes of routes and services wait so that APISIX builds its router about so often; 0 does not wait."""
    control_api: str = ""
    """http://HOST:PORT of the control API of the APISIX beside it: what it really has goes into the status."""
    tls: ServerTLSSettings | None = None
    """TLS on the port; absent: plaintext."""
    users: dict[str, UserSettings] = {}
    """By name, who may use the API; none: everybody who can connect."""


class LoggingSettings(_Section, frozen=True):
    """What is logged to standard error."""

    level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    format: str = "text"
    """`text` for people, `json` for collectors."""


class Settings(_Section, frozen=True):
    """The whole tree."""

    log: LogSettings = LogSettings()
    views: dict[str, ViewSettings] = {}
    seal: SealSettings = SealSettings()
    translator: TranslatorSettings = TranslatorSettings()
    agent: AgentSettings = AgentSettings()
    logging: LoggingSettings = LoggingSettings()

    def the_view(self, name: str = "") -> str:
        """Choose a view by name, or the only one.

        Raises:
            SettingsError: no such view, or several and none named.
        """
        if name:
            if name not in self.views:
                raise SettingsError(f"views: no view {name!r}; there are {sorted(self.views)}")
            return name
        if len(self.views) != 1:
            raise SettingsError(f"views: name one of {sorted(self.views)} with --view or agent.view")
        return next(iter(self.views))


def parse_settings(text: str, environment: Mapping[str, str], source: str = "settings") -> Settings:
    """Parse a settings file and lay the environment over it.

    Args:
        text: the YAML text, may be empty.
        environment: names and values, `_FILE` twins already read (`read_file_twins`).
        source: the file's name for error messages.

    Raises:
        SettingsError: with the path of the setting.
    """
    tree = read_yaml(text, source) or {}
    if not isinstance(tree, dict):
        raise SettingsError(f"{source}: a mapping is wanted at the top, not a {type(tree).__name__}")
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            _lay(tree, name, environment[name])
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {error}") from error
    return check_settings(settings, source)


def _lay(tree: dict[str, Any], name: str, value: str) -> None:
    *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    place = tree
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{name}: {section} is not a section")
        place = inner
    try:
        place[key] = read_yaml(value, name)
    except SettingsError:
        raise SettingsError(f"{name}: the value is not YAML; put text with special characters in quotes") from None


def read_yaml(text: str, source: str) -> Any:
    """Read YAML.

    Args:
        text: the document.
        source: where it came from, for error messages.

    Raises:
        SettingsError: one line with the place in the text.
    """
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-13-01
        raise SettingsError(f"{source}: not YAML: {' '.join(str(error).split())}") from error


def check_settings(settings: Settings, source: str) -> Settings:
    """Check what types cannot say.

    Args:
        settings: the tree.
        source: where it came from, for error messages.

    Raises:
        SettingsError: with the path of the setting.
    """
    for name, view in settings.views.items():
        try:
            check_view(name)
        except ValueError as error:
            raise SettingsError(f"{source}: views: {error}") from error
        if view.source.file and view.source.xds:
            raise SettingsError(f"{source}: views.{name}.source: give either `file` or `xds`, not both")
        if isinstance(view.guard, GuardSettings) and not 0 <= view.guard.share <= 1:
            raise SettingsError(f"{source}: views.{name}.guard.share: {view.guard.share:g} is not between 0 and 1")
    _check_agent(settings.agent, source)
    return settings


def _check_agent(agent: AgentSettings, source: str) -> None:
    host_port(agent.listen, "agent.listen")
    tls = agent.tls
    if tls is not None and tls.is_client_certificate_required and not tls.client_ca:
        raise SettingsError(
            f"{source}: agent.tls.client_ca: give the authorities of the certificates that are required"
        )
    for name, user in agent.users.items():
        if bool(user.password) == bool(user.password_file):
            raise SettingsError(f"{source}: agent.users.{name}: give either `password_file` or `password`")


def host_port(text: str, setting: str) -> tuple[str, int]:
    """Split `host:port`; an IPv6 host stands in brackets.

    Raises:
        SettingsError: the text has no port, or one out of range.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise SettingsError(f"{setting}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def read_file_twins(environment: Mapping[str, str]) -> dict[str, str]:
    """Replace every `MESHFERRY_…_FILE` by the content of the file it names.

    Raises:
        SettingsError: a file cannot be read.
    """
    read = dict(environment)
    for name, path in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and name.endswith("_FILE"):
            try:
                read[name.removesuffix("_FILE")] = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise SettingsError(f"{name}: {path}: {reason}") from error
            del read[name]
    return read


def load_settings(path: str, environment: Mapping[str, str]) -> Settings:
    """Read the settings file and the environment.

    Args:
        path: the file; empty means environment and defaults alone.
        environment: usually os.environ.

    Raises:
        SettingsError: the file cannot be read or used.
    """
    text = ""
    if path:
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SettingsError(f"{path}: {reason}; give the settings file with --settings") from error
    return parse_settings(text, read_file_twins(environment), path or "environment")
