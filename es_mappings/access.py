"""How a cluster is told who asks, and how it proves who it is: credentials and certificates."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence

from es_mappings.errors import SettingsError
from es_mappings.settings import EngineSettings

FORBIDDEN = "security_exception"
"""The kind of a 403 that is about privileges. A disk that is full is 403 too."""


def credentials(engine: EngineSettings) -> dict[str, str]:
    """The headers that say who asks. Raises SettingsError for a username alone."""
    if engine.api_key is not None:
        return {"authorization": f"ApiKey {engine.api_key.get_secret_value()}"}
    if engine.password is not None:
        pair = f"{engine.username}:{engine.password.get_secret_value()}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if engine.username is not None:
        raise SettingsError("engine.username is given, but no password: set MAXCOS_ENGINE__PASSWORD")
    return {}


def authorities(engine: EngineSettings, addresses: Sequence[str]) -> str | None:
    """The file of the certificates that may vouch for the engine's; None: those that the clients know.

    Raises SettingsError for a file without certificates, and for addresses without TLS.
    """
    if engine.ca_certs is None:
        return None
    plain = [address for address in addresses if not address.lower().startswith("https:")]
    if plain:
        raise SettingsError(f"engine.ca_certs: {plain[0]} has no certificate to check; give engine.url as https://")
    try:
        ssl.create_default_context(cafile=engine.ca_certs)
    except ssl.SSLError as error:
        raise SettingsError(f"engine.ca_certs: {engine.ca_certs} holds no certificates in PEM: {error}") from error
    except OSError as error:
        raise SettingsError(f"engine.ca_certs: {engine.ca_certs}: {error.strerror}") from error
    return str(engine.ca_certs)
