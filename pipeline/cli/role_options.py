"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipeline.cli.exit_code import UsageError
from pipeline.log import Log, open_log
from pipeline.log.url import embedded_log_url
from pipeline.settings import LogSettings, Settings, SettingsError, ViewSettings, load_settings
from pipeline.telemetry import configure_logging

SettingsFile = Annotated[str, Parameter(name=["-s", "--settings"], env_var="MESHFERRY_SETTINGS")]
Views = Annotated[list[str] | None, Parameter(name=["--view"], negative=())]
StateDirectory = Annotated[str, Parameter(name=["--state"])]
LOG_FILE = "log.db"
DEFAULT_VIEW = "default"


def settings_from(path: str) -> Settings:
    """Read the settings and set logging up as they say.

    Raises:
        SettingsError: the settings cannot be used.
    """
    settings = load_settings(path, os.environ)
    try:
        configure_logging(settings.logging.level, settings.logging.format)
    except ValueError as error:
        raise SettingsError(f"logging: {error}") from error
    return settings


def settings_or_state(path: str, state: str, views: list[str] | None) -> Settings:
    """Read the settings, or give those of a state directory of `meshferry up`, whose log holds the named views.

    Raises:
        UsageError: both are given.
        SettingsError: the settings cannot be used, or the directory holds no log.
    """
    if not state:
        return settings_from(path)
    if path:
        raise UsageError("give either --settings or --state, not both")
    file = Path(state).absolute() / LOG_FILE
    if not file.is_file():
        raise SettingsError(f"--state {state}: no {LOG_FILE} there; give the directory that `meshferry up` was given")
    log = LogSettings(url=embedded_log_url(file))
    return Settings(log=log, views={name: ViewSettings() for name in views or [DEFAULT_VIEW]})


def configured_log(settings: Settings) -> Log:
    """Make the log that the settings name; it is not entered yet.

    Raises:
        SettingsError: none is named, or by something that is no URL of a log.
    """
    if not settings.log.url:
        raise SettingsError("log.url is not set: give --settings FILE or MESHFERRY_LOG__URL=kafka://host:9092")
    try:
        return open_log(settings.log.url)
    except ValueError as error:
        raise SettingsError(f"log.url: {error}") from error


def chosen_views(settings: Settings, names: list[str] | None) -> list[str]:
    """Give the named views, or all of the settings.

    Raises:
        SettingsError: an unknown name, or no view at all.
    """
    if not settings.views:
        raise SettingsError("views: the settings have none; add `views: {NAME: {source: …}}`")
    return [settings.the_view(name) for name in names] if names else sorted(settings.views)
