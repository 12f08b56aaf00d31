"""This machine: where things are kept, who an engine runs as, and how to talk to the user."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

ROOT_CACHE = Path("/var/cache/maxcos")
SERVICE_USER = "nobody"


class EngineError(Exception):
    """A failure with a message that is fit to show to the user as it stands."""


def say(message: str) -> None:
    """Report progress, on stderr."""
    sys.stderr.write(f"{message}\n")


def is_root() -> bool:
    """Whether we run as root, and so have to run engines as somebody else."""
    return os.geteuid() == 0


def cache_root() -> Path:
    """The folder that holds everything we keep."""
    configured = os.environ.get("MAXCOS_CACHE")
    if configured:
        root = Path(configured).expanduser()
    else:
        # Root's home is closed to others, so the user that the engine runs as could not read a cache there.
        root = ROOT_CACHE if is_root() else Path.home() / ".cache" / "maxcos"
    # A running node is recognised by its path, so a cache behind a symbolic link must have one spelling.
    return root.resolve()


def maven_repository() -> Path:
    """Maven's local repository."""
    return Path.home() / ".m2" / "repository"


def open_to_others(path: Path) -> bool:
    """Whether every folder from the root down to path lets any user pass."""
    path = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def give_to_service_user(folder: Path) -> None:
    """Let the user that engines run as own a folder and all that is in it."""
    uid, gid = _service_ids()
    folder.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def as_service_user(command: list[str]) -> list[str]:
    """The command that runs this command as the user that engines run as."""
    uid, gid = _service_ids()
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *command]


def _service_ids() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise EngineError(f"engines do not run as root, and there is no user {SERVICE_USER}") from None
    return entry.pw_uid, entry.pw_gid
