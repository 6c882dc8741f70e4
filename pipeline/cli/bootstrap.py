"""`meshferry bootstrap`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import orjson
from cyclopts import Parameter

from pipeline.cli.exit_code import BadInputError, ExitCode, UsageError
from pipeline.cli.output import print_data
from pipeline.cli.policy import policy_from, read_policy
from pipeline.cli.role_options import SettingsFile, StateDirectory, chosen_views, configured_log, settings_or_state
from pipeline.settings import SettingsError, read_yaml
from schemas.codec import decode
from schemas.keys import TopicKind, check_view, topic
from schemas.records import Bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.settings import Settings
    from translators.policy import Policy

DEFAULT_AGENT = "http://127.0.0.1:2379"
_VARIABLE = re.compile(r"\$\{\{\s*(\w+)\s*(?::=\s*([^}]*?)\s*)?\}\}")


class _View(NamedTuple):
    """What is known of a view.

    Attributes:
        bundles: of all its units.
        prefix: etcd prefix of its nodes.
        policy: what the operator decided.
    """

    bundles: list[Bundle]
    prefix: str
    policy: Policy


async def run(
    file: str = "",
    /,
    *,
    view: str = "",
    settings: SettingsFile = "",
    state: StateDirectory = "",
    policy: str = "",
    agent: Annotated[list[str] | None, Parameter(name=["--agent"], negative=())] = None,
    check: str = "",
    output: Annotated[Literal["yaml", "json"] | None, Parameter(name=["-o", "--output"])] = None,
) -> ExitCode:
    """Print what a view needs of a node's config.yaml, or compare it with what a node has.

    APISIX opens ports, loads plugins and sets TLS up when it starts: xDS can only choose among what is there. The parts
    come from the bundles of a view, or offline from an Envoy file:

    ```sh
    meshferry bootstrap envoy.yaml > config.yaml
    meshferry bootstrap --view edge --settings meshferry.yaml --agent http://127.0.0.1:2379
    ```

    Before a node starts, and whenever listeners change, compare: every difference is a line with the code, the place in
    config.yaml, what is wrong and the remedy. `${{NAME:=default}}` in the file is replaced as APISIX does:

    ```sh
    meshferry bootstrap --view edge --state ./state --check /usr/local/apisix/conf/config.yaml
    ```

    Exit codes: 0 printed, or nothing differs, 2 something differs, 64 usage, 65 a file cannot be read or the view has
    not been translated yet, 69 log unreachable, 78 bad configuration.

    Args:
        file: an Envoy bootstrap, config_dump, discovery file or directory, instead of a view.
        view: name of the view.
        settings: settings file, for a view.
        state: state directory of a `meshferry up`, instead of settings.
        policy: YAML file with a policy, for a file; a view of the settings has its own.
        agent: URL of the etcd API of an agent that the node may use; may be repeated.
        check: a node's config.yaml to compare with.
        output: yaml (printing) or json; differences are lines of text unless json is asked for.
    """
    from translators.bootstrap import config_yaml, wanted_config  # noqa: PLC0415 - loaded by this command only
    from translators.plugin_use import plugin_use  # noqa: PLC0415 - loaded by this command only

    if bool(file) == bool(view) or (file and state):
        raise UsageError("give either an Envoy file or --view NAME with --settings or --state")
    node = _read_node(check) if check else {}
    found = _offline(file, policy) if file else await _of_view(view, settings, state, policy)
    use = plugin_use(one for bundle in found.bundles for one in bundle.objects)
    manifest = next((bundle.manifest for bundle in found.bundles if bundle.manifest), "")
    wanted = wanted_config(orjson.loads(manifest), use) if manifest else {}
    if check:
        return _check(wanted, use, node, check, found.policy, is_json=output == "json")
    if output == "json":
        print_data({**wanted, "plugins": list(use.http), "stream_plugins": list(use.stream)}, "json")
    else:
        sys.stdout.write(config_yaml(manifest, agent or [DEFAULT_AGENT], found.prefix, use))
    return ExitCode.OK


def _check(wanted: Any, use: Any, node: Mapping[str, Any], name: str, policy: Policy, *, is_json: bool) -> ExitCode:
    from pipeline.cli.offline import diagnostic_data, diagnostic_lines  # noqa: PLC0415 - slow to import
    from translators.bootstrap_check import check_node  # noqa: PLC0415 - loaded by this command only
    from translators.findings import Findings  # noqa: PLC0415 - loaded by this command only

    findings = Findings(policy)
    check_node(wanted, use, node, name, findings)
    differences = [diagnostic_data(found) for found in findings.diagnostics()]
    if is_json:
        print_data(differences, "json")
    else:
        sys.stdout.write(diagnostic_lines(differences))
    return ExitCode.FINDINGS if differences else ExitCode.OK


def _offline(file: str, policy_file: str) -> _View:
    from pipeline.cli.offline import translate_offline  # noqa: PLC0415 - slow to import
    from pipeline.settings import AgentSettings  # noqa: PLC0415 - only for its default
    from producers.files.load import load  # noqa: PLC0415 - slow to import
    from producers.source import Changes  # noqa: PLC0415 - slow to import

    policy = read_policy(policy_file)
    parsed = load(Path(file))
    offline = translate_offline(Changes(parsed.resources, is_complete=True, source=file), "offline", policy)
    problems = [*parsed.problems, *offline.problems]
    if problems:
        raise BadInputError("; ".join(str(problem) for problem in problems))
    return _View(list(offline.bundles), AgentSettings().prefix, policy)


async def _of_view(view: str, settings: str, state: str, policy_file: str) -> _View:
    if policy_file:
        raise UsageError("--policy goes with a file; the policy of a view is in the settings")
    try:
        check_view(view)
    except ValueError as error:
        raise UsageError(str(error)) from error
    tree = settings_or_state(settings, state, [view])
    (name,) = chosen_views(tree, [view])
    bundles = await _bundles(tree, name)
    if not any(bundle.manifest for bundle in bundles):
        raise BadInputError(f"view {view}: not translated yet; start a producer and a translator for it")
    policy = policy_from(tree.views[name].policy or {}, f"views.{name}.policy")
    return _View(bundles, tree.agent.prefix, policy)


async def _bundles(tree: Settings, view: str) -> list[Bundle]:
    """Read the newest bundle of every unit."""
    name = topic(tree.log.prefix, view, TopicKind.BUNDLES)
    found: dict[str, Bundle] = {}
    async with configured_log(tree) as log:
        async for batch in log.read(name, (await log.ends(name)).start):
            for record in batch:
                if record.value is None:
                    found.pop(record.key, None)
                elif not record.key.startswith("@"):
                    found[record.key] = decode(record.value, Bundle)
    return list(found.values())


def _read_node(path: str) -> dict[str, Any]:
    """Read a config.yaml with its variables replaced.

    Raises:
        BadInputError: it cannot be read, or is no mapping.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BadInputError(f"{path}: {reason}; give the config.yaml of a node") from error
    try:
        tree = read_yaml(_VARIABLE.sub(_replaced, text), path)
    except SettingsError as error:
        raise BadInputError(str(error)) from error
    if tree is not None and not isinstance(tree, dict):
        raise BadInputError(f"{path}: a mapping is expected; give the config.yaml of a node")
    return tree or {}


def _replaced(variable: re.Match[str]) -> str:
    return os.environ.get(variable[1]) or variable[2] or variable[0]
