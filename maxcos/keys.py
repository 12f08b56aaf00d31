"""`maxcos keys`: the keys that a service asks its callers for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from query_api.keys import Key, KeyRing

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("maxcos.toml"), show_default=True, help="Settings file."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """The API keys of the service. Only their hashes are stored, in the file that service.keys names."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["search", "admin"]),
    default=("search",),
    show_default=True,
    help="What it may do. May be given again. admin: read /metrics.",
)
@CONFIG
@AS_JSON
def create(name: str, scopes: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Make a key for NAME, and show it: it cannot be shown again."""
    key, secret = _ring(config).create(name, scopes)
    if as_json:
        click.echo(json.dumps({**_told(key), "key": secret}))
        return
    click.echo(f"key {key.id} for {name}, scopes: {', '.join(sorted(key.scopes))}", err=True)
    click.echo(secret)


@keys.command("list")
@CONFIG
@AS_JSON
def list_keys(config: Path, as_json: bool) -> None:
    """What is known of each key."""
    told = [_told(key) for key in _ring(config).list()]
    if as_json:
        click.echo(json.dumps(told))
        return
    for key in told:
        click.echo(f"{key['id']}  {key['made']}  {','.join(key['scopes']):<12}  {key['name']}")


@keys.command()
@click.argument("identifier", metavar="ID")
@CONFIG
def revoke(identifier: str, config: Path) -> None:
    """Take the key of that ID back; a running service refuses it from its next request on."""
    key = _ring(config).revoke(identifier)
    click.echo(f"revoked: {key.id} ({key.name})")


def _ring(config: Path) -> KeyRing:
    from es_mappings.settings import load_settings
    from query_api.keys import KeyRing

    return KeyRing(load_settings(config).service.keys)


def _told(key: Key) -> dict[str, str | list[str]]:
    return {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "made": key.made}
