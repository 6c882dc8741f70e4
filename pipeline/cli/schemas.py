"""`meshferry schemas pull`: the schemas of a running APISIX into a file."""

from __future__ import annotations

import http.client
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import cyclopts
from cyclopts import Parameter

from pipeline.cli.exit_code import BadInputError, UnreachableError, UsageError
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from translators.reference import Reference

app = cyclopts.App(
    name="schemas",
    help="The schemas of a running APISIX, to validate objects exactly as its nodes do.",
    help_epilogue="",  # each tells its own exit codes
)
PATH = "/v1/schema"
STANDARD_OUTPUT = "-"
TIMEOUT_S = 10.0
MAX_DUMP_BYTES = 64 * 1024 * 1024
_REMEDY = "give the control API of APISIX, http://127.0.0.1:9090 unless apisix.control in config.yaml says otherwise"


@app.command
def pull(
    url: str, /, *, to: Annotated[str, Parameter(name="--to", allow_leading_hyphen=True)] = "apisix-schemas.json"
) -> None:
    """Read the schemas of a running APISIX from its control API into a file.

    They hold what this APISIX knows and has enabled, of every plugin too. Name the file with `translate --schemas`, or
    as `translator.schemas` in the settings:

    ```sh
    meshferry schemas pull http://127.0.0.1:9090
    meshferry translate envoy.yaml --schemas apisix-schemas.json
    ```

    Exit codes: 0 ok, 1 the file cannot be written, 64 usage, 65 what answers is no APISIX, 69 nothing answers.

    Args:
        url: http://HOST:PORT of the control API.
        to: the file, or - for standard output.
    """
    from translators.reference import Reference, SchemasError  # noqa: PLC0415 - slow to import

    place = _schema_url(url)
    dump = _fetched(place)
    try:
        Reference(dump)
    except SchemasError as error:
        raise BadInputError(f"{place}: {error} ({_REMEDY})") from error
    if to == STANDARD_OUTPUT:
        sys.stdout.write(dump.decode())
    else:
        _write(Path(to), dump)
        sys.stderr.write(f"{to}: {len(dump)} bytes of schemas\n")


def read_reference(path: str, setting: str) -> Reference | None:
    """Read a file of `schemas pull`; an empty path is none.

    Args:
        path: the file.
        setting: what named it, for error messages.

    Raises:
        SettingsError: the file cannot be read or holds something else.
    """
    if not path:
        return None
    from translators.reference import Reference, SchemasError  # noqa: PLC0415 - slow to import

    try:
        return Reference(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: {error.strerror}; make it with `meshferry schemas pull`") from error
    except SchemasError as error:
        raise SettingsError(f"{setting}: {path}: {error}; make it with `meshferry schemas pull`") from error


def _schema_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError(f"{url}: not http://HOST:PORT; {_REMEDY}")
    place = url.rstrip("/")
    return place if place.endswith(PATH) else place + PATH


def _fetched(url: str) -> bytes:
    """Fetch without a proxy: the control API listens where nodes run.

    Raises:
        UnreachableError: nothing answers.
        BadInputError: something else does.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            dump: bytes = response.read(MAX_DUMP_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise BadInputError(f"{url}: answers {error.code}; {_REMEDY}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise UnreachableError(f"{url}: {text}; {_REMEDY}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise BadInputError(f"{url}: does not speak HTTP; {_REMEDY}") from error
    if len(dump) > MAX_DUMP_BYTES:
        raise BadInputError(f"{url}: more than {MAX_DUMP_BYTES} bytes; {_REMEDY}")
    return dump


def _write(path: Path, dump: bytes) -> None:
    """Replace the file as a whole: a translator may read it at any time."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(dump)
    partial.replace(path)
