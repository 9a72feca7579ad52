"""Can MLflow log to a tracking URI at all? Asked before anything is scored: else the night ends with that answer.

What can never work is refused. What does not answer just now, but may when the run is finished, is remarked.
"""

from __future__ import annotations

import os
import socket
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.base.redaction import redacted_text
from serve_app.engine.places import writable
from stages.core.errors import ConfigError
from stages.core.words import did_you_mean

# MLflow 3's (`_register_tracking_stores`); other packages may add some.
DATABASES, SERVERS = ("sqlite", "postgresql", "mysql", "mssql"), ("http", "https")
DATABRICKS = "databricks"
PLUGINS = "mlflow.tracking_store"
# MLflow's switch for folders of files, which it else refuses to open.
FILES_ALLOWED = "MLFLOW_ALLOW_FILE_STORE"
PORTS = {"http": 80, "https": 443}
ANSWER_S = 3.0
INSTEAD = "sqlite:///mlflow.db"
PACKAGES = {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary"}
LATER = "The results will be complete without it, and `rerank-eval sync RUN` logs them when it is back"


def check_tracking(uri: str | None) -> str | None:
    """What the user should know before the run: why nothing could be logged to `uri` at this moment.

    Raises ConfigError where nothing ever could.
    """
    if uri is None or uri == DATABRICKS:
        return None
    try:
        return _checked(uri)
    except ValueError as error:  # a port that is no number, a bracket that is not closed
        raise ConfigError(f"tracking.uri {redacted_text(uri)}: {error}") from None


def _checked(uri: str) -> str | None:
    scheme = _scheme(uri)
    if scheme in ("", "file"):
        _require_files_allowed(uri)
    elif scheme in SERVERS:
        return _unreachable(uri)
    elif scheme in DATABASES:
        return _unopened(uri)
    elif scheme not in (known := [*DATABASES, *SERVERS, DATABRICKS, *_plugins()]):
        raise ConfigError(
            f"tracking.uri {redacted_text(uri)}: MLflow knows no {scheme}://{did_you_mean(scheme, known)}"
        )
    return None


def _scheme(uri: str) -> str:
    """As MLflow takes it: a database's is `postgresql+psycopg2`, a single letter a drive of Windows."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    return "" if len(scheme) == 1 else scheme


def _plugins() -> list[str]:
    return [one.name for one in entry_points(group=PLUGINS)]


def _require_files_allowed(uri: str) -> None:
    if os.environ.get(FILES_ALLOWED, "").lower() in ("true", "1"):
        return
    folder = Path(urlsplit(uri).path or ".")
    moved = f"; `mlflow migrate-filestore --source {folder} --target {INSTEAD}` brings along what it holds"
    raise ConfigError(
        f"tracking.uri {uri} is a folder, and MLflow 3 logs to none unless {FILES_ALLOWED}=true. Use "
        f"{INSTEAD}{moved if folder.is_dir() else ''}"
    )


def _unreachable(uri: str) -> str | None:
    parts = urlsplit(uri)
    host, port = parts.hostname, parts.port or PORTS[parts.scheme]
    if not host:
        raise ConfigError(f"tracking.uri {redacted_text(uri)} names no server: write {parts.scheme}://HOST:5000")
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")):
        return None  # the way there is another one
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        return f"MLflow at {redacted_text(uri)} does not answer now ({error.strerror or error}). {LATER}"
    return None


def _unopened(uri: str) -> str | None:
    """A file is looked at; of a database elsewhere, whether there is what speaks to it."""
    if not uri.startswith("sqlite"):
        _require_driver(uri)
        return None
    name = unquote(uri.partition(":///")[2].partition("?")[0])
    if name in ("", ":memory:"):
        raise ConfigError(f"tracking.uri {uri} is in memory, and gone at the end of the run. Use {INSTEAD}")
    file = Path(name).absolute()
    there = file.is_file() and os.access(file, os.R_OK | os.W_OK) if file.exists() else writable(file.parent)
    return None if there else f"MLflow's {file} cannot be written now. {LATER}"


def _require_driver(uri: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        package = PACKAGES.get(error.name or "", error.name)
        raise ConfigError(f"tracking.uri {redacted_text(uri)} needs another package: pip install {package}") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(f"tracking.uri {redacted_text(uri)} is no URI of a database: {error}") from None
