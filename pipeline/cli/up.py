"""`meshferry up`: producer, translator and agent in one process on the embedded log."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from pipeline.cli.agent import agent_options
from pipeline.cli.exit_code import UsageError
from pipeline.cli.policy import read_policy
from pipeline.cli.producer import producer_options
from pipeline.cli.role_options import DEFAULT_VIEW, LOG_FILE
from pipeline.cli.sealing import seal_keys
from pipeline.cli.translator import translator_options
from pipeline.log import open_log
from pipeline.log.upkeep import keep_compact
from pipeline.log.url import embedded_log_url
from pipeline.settings import (
    AgentSettings,
    LogSettings,
    SealSettings,
    Settings,
    SettingsError,
    SourceSettings,
    ViewSettings,
    XDSSettings,
    host_port,
)
from pipeline.telemetry import configure_logging
from pipeline.topics import view_specs
from schemas.codec import decode
from schemas.keys import TopicKind, check_view, topic, unit_key
from schemas.records import Bundle, UnitKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.log import Log, Record

logger = logging.getLogger(__name__)

READY_TIMEOUT_S = 30.0
DECODE = """python3 -c 'import base64, json, sys
[print(base64.b64decode(kv["key"]).decode()) for kv in json.load(sys.stdin)["kvs"]]'""".replace("\n", "; ")


async def run(
    file: str = "",
    /,
    *,
    xds: str = "",
    node_id: str = "",
    profile: str = "generic",
    identity: Annotated[dict[str, str] | None, Parameter(name="--identity")] = None,
    variant: str = "",
    etcd_listen: Annotated[str, Parameter(name="--etcd-listen")] = "127.0.0.1:2379",
    state: Path = Path("state"),
    view: str = DEFAULT_VIEW,
    policy: str = "",
    log_level: str = "INFO",
) -> None:
    """Run everything in one process on the embedded log, and print what APISIX needs to use it.

    The source is an Envoy file (bootstrap, discovery file, resource list or config_dump; read again when it changes) or
    an ADS server. A source that is broken or away leaves the last good state in force. Stop with Ctrl-C; the next start
    goes on from the state directory.

    ```sh
    meshferry up envoy.yaml --view edge --etcd-listen 127.0.0.1:2379 --state ./state
    ```

    With a profile the node id is built from what the control plane's own agents would say (docs/control-planes.md):

    ```sh
    meshferry up --xds istiod:15010 --profile istio-router --identity.name gw --identity.namespace edge …
    ```

    Exit codes: 0 stopped by a signal, 1 the port or the state directory is taken, 64 usage, 78 the state directory, the
    log in it or the policy cannot be used.

    Args:
        file: the Envoy file, or a directory of them; files that it subscribes to are followed.
        xds: HOST:PORT of an ADS server, instead of a file; several with commas between, the preferred first.
        node_id: xDS node id to subscribe as; needed with --xds unless the profile can build it.
        profile: generic, istio-sidecar, istio-router, kuma, consul or envoy-gateway.
        identity: what the profile builds the identity from: --identity.name, .namespace, .ip, .mesh, ….
        variant: sotw or delta; that of the profile when it is not given.
        etcd_listen: HOST:PORT of the etcd API.
        state: directory of the log, the keys and the last-known-good state.
        view: name of the view.
        policy: YAML file with decisions about translation (docs/diagnostics.md).
        log_level: DEBUG, INFO, WARNING or ERROR.
    """
    try:
        configure_logging(log_level, "text")
    except ValueError as error:
        raise UsageError(str(error)) from error
    source = up_source(file, xds=xds, node_id=node_id, profile=profile, identity=identity, variant=variant)
    settings = up_settings(source, state, etcd_listen=etcd_listen, view=view, policy=policy)
    async with open_log(settings.log.url) as log:
        await log.apply(view_specs(settings.log.prefix, view))
        await _run_roles(settings, view, log)


def up_source(
    file: str,
    *,
    xds: str,
    node_id: str,
    profile: str = "generic",
    identity: Mapping[str, str] | None = None,
    variant: str = "",
) -> SourceSettings:
    """Give the source that the flags stand for.

    Raises:
        UsageError: not exactly one source, an ADS server without an identity, or a value that is none.
    """
    if bool(file) == bool(xds):
        raise UsageError("give either an Envoy file or --xds HOST:PORT; see `meshferry up --help`")
    if file:
        if node_id or identity or variant or profile != "generic":
            raise UsageError("--node-id, --profile, --identity, --variant go with --xds HOST:PORT; a file needs none")
        return SourceSettings(file=str(Path(file).absolute()))
    if profile == "generic" and not node_id:
        raise UsageError("--xds needs --node-id, the identity that the control plane knows this view by")
    servers = xds.split(",")
    wanted = {"server": servers, "node_id": node_id, "profile": profile, "identity": identity or {}, "variant": variant}
    try:
        for server in servers:
            host_port(server, "--xds")
        return SourceSettings(xds=msgspec.convert(wanted, XDSSettings))
    except (SettingsError, msgspec.ValidationError) as error:
        raise UsageError(str(error)) from error


def up_settings(source: SourceSettings, state: Path, *, etcd_listen: str, view: str, policy: str = "") -> Settings:
    """Give the settings that the flags stand for, and make the state directory.

    Raises:
        UsageError: a value that is none.
        SettingsError: the state directory cannot be made, or the policy file cannot be used.
    """
    try:
        host_port(etcd_listen, "--etcd-listen")
        check_view(view)
    except ValueError as error:
        raise UsageError(str(error)) from error
    chosen_policy = msgspec.to_builtins(read_policy(policy))
    state = state.absolute()
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--state {state}: {error.strerror}; choose a directory that can be written") from error
    return Settings(
        log=LogSettings(url=embedded_log_url(state / LOG_FILE)),
        views={view: ViewSettings(source=source, policy=chosen_policy)},
        seal=SealSettings(directory=str(state / "keys")),
        agent=AgentSettings(view=view, listen=etcd_listen, state=str(state / "agent")),
    )


async def _run_roles(settings: Settings, view: str, log: Log) -> None:
    from agent.server import serve  # noqa: PLC0415 - loaded by this command only
    from producers.runner import run as run_producer  # noqa: PLC0415 - loaded by this command only
    from translators.runner import run as run_translator  # noqa: PLC0415 - loaded by this command only

    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    def started(host: str, port: int) -> None:
        logger.info("etcd v3 on %s:%d", host, port)
        address.set_result((host, port))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_producer(producer_options(settings, view, log, seal_keys(settings.seal))))
        tasks.create_task(run_translator(translator_options(settings, [view], log)))
        tasks.create_task(serve(agent_options(settings, view, log), started=started))
        tasks.create_task(_print_instructions(settings, view, log, address))
        tasks.create_task(keep_compact(log, [topic(settings.log.prefix, view, kind) for kind in TopicKind]))


async def _print_instructions(
    settings: Settings, view: str, log: Log, address: asyncio.Future[tuple[str, int]]
) -> None:
    """Print the snippet once the bundle that knows the ports is there; say so if that takes long."""
    key = unit_key(UnitKind.VIEW)
    bundles = topic(settings.log.prefix, view, TopicKind.BUNDLES)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            manifest = await _newest_manifest(log, bundles, key)
    except TimeoutError:
        logger.warning(
            "nothing translated after %.0f s: the source has not given a complete state yet", READY_TIMEOUT_S
        )
        manifest = await _newest_manifest(log, bundles, key)
    sys.stdout.write(instructions(manifest, await address, settings.agent.prefix))
    sys.stdout.flush()


async def _newest_manifest(log: Log, bundles: str, key: str) -> str:
    """Give the manifest of the newest bundle of the view; wait while there is none."""
    start = (await log.ends(bundles)).start
    manifest = ""
    async for batch in log.read(bundles, start):
        start = batch[-1].offset + 1
        manifest = _manifest_in(batch, key) or manifest
    if manifest:
        return manifest
    async for batch in log.follow(bundles, start):
        if manifest := _manifest_in(batch, key):
            return manifest
    raise AssertionError("a log is followed for ever")


def _manifest_in(batch: Sequence[Record], key: str) -> str:
    values = [record.value for record in batch if record.key == key and record.value is not None]
    return decode(values[-1], Bundle).manifest if values else ""


def instructions(manifest: str, address: tuple[str, int], prefix: str) -> str:
    """Write what a user does next: the snippet for APISIX and a line that shows the keys.

    Args:
        manifest: of the bundle of the view.
        address: host and port of the etcd API.
        prefix: the etcd prefix.
    """
    from translators.bootstrap import config_yaml  # noqa: PLC0415 - loaded by this command only

    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a wildcard is nowhere to connect to
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    key, end = (base64.b64encode(f"{prefix}{last}".encode()).decode() for last in ("/", "0"))
    curl = f'curl -s {url}/v3/kv/range -d \'{{"key":"{key}","range_end":"{end}"}}\''
    return f"{config_yaml(manifest, [url], prefix)}\n# Show the keys (etcd speaks base64):\n{curl} | {DECODE}\n"
