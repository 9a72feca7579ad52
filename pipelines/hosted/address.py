"""The address of a hosted model: what of it can be asked, what else its server has, and on what way it is reached."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from pipelines.base.redaction import HIDDEN, redacted_text
from stages.core.errors import ConfigError

# What servers call the path that scores; what stands before it is where the rest of the server is.
SCORES_AT = re.compile(r"(/v\d+)?/(rerank|ranking)/?$")


class Named(NamedTuple):
    """What a config calls the address, the model's name there and the key; `remedy`: what an address looks like."""

    url: str = "model.name"
    served_as: str = "model.served_as"
    key_env: str = "model.key_env"
    remedy: str = "with model.api give the address, as https://HOST/PATH"


MODEL = Named()


def address_of(name: str, named: Named = MODEL) -> SplitResult:
    """In its parts. Raises ConfigError where it is none, or holds a secret."""
    shown = redacted_text(name) if name.isprintable() else repr(redacted_text(name))
    told = f"{named.url} {shown}: {named.remedy}"
    try:
        parts = urlsplit(name)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"{told} ({error})") from error
    if not fits or not name.isprintable() or " " in name:
        raise ConfigError(told)
    if HIDDEN in shown or parts.username is not None:
        raise ConfigError(
            f"{named.url} {shown}: holds a secret, which would stand in files and logs. Put it into an environment "
            f"variable, and that one's name into {named.key_env}"
        )
    return parts


def beside(url: str, path: str) -> str | None:
    """Another path of the same server; None where it cannot be told from this one where the server begins."""
    parts = urlsplit(url)
    before, known = SCORES_AT.subn("", parts.path)
    return urlunsplit((parts.scheme, parts.netloc, before + path, "", "")) if known else None


def proxy_of(url: str) -> str | None:
    """The proxy through which the environment has it asked, without its password; None where there is none."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_here(url) or proxy_bypass(parts.hostname or ""):
        return None
    return redacted_text(proxy)


def is_here(url: str) -> bool:
    """Whether its host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
