"""What a node of Elasticsearch with security needs: a certificate, and a user who may do everything."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from provision.host import EngineError

ADMIN = "admin"
AUTHORITY, PASSWORD = "ca.pem", "password"
"""Files in the node's folder: the certificate that vouches for it, and the password of ADMIN."""
ROUNDS = 10_000

SETTINGS: Mapping[str, str] = {
    "xpack.security.enabled": "true",
    "xpack.security.http.ssl.enabled": "true",
    "xpack.security.http.ssl.certificate": "http.pem",
    "xpack.security.http.ssl.key": "http.key",
}


def secure(run: Path, host: str) -> None:
    """Write into a node's folder what SETTINGS speak of, new each time. Raises EngineError without trustme."""
    try:
        import trustme
    except ImportError as error:
        raise EngineError("a node with security needs the Python package trustme: install the extra 'dev'") from error
    config = run / "config"
    authority = trustme.CA()
    certificate = authority.issue_cert(host)
    authority.cert_pem.write_to_path(run / AUTHORITY)
    certificate.cert_chain_pems[0].write_to_path(config / "http.pem")
    _keep(config / "http.key", certificate.private_key_pem.bytes())
    password = secrets.token_urlsafe(16)
    _keep(run / PASSWORD, password.encode())
    _keep(config / "users", f"{ADMIN}:{_hashed(password)}\n".encode())
    _keep(config / "users_roles", f"superuser:{ADMIN}\n".encode())


def _keep(file: Path, secret: bytes) -> None:
    """For the eyes of its owner."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(secret)


def _hashed(password: str) -> str:
    """As Elasticsearch's file realm reads it (PBKDF2 with HMAC-SHA-512), without a JVM that would have to start."""
    salt = secrets.token_bytes(32)
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 32)
    return f"{{PBKDF2}}{ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"
