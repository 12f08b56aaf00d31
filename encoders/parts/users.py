"""Users in a knowledge graph: entities of their own, with an edge to each item that they did something with."""

from __future__ import annotations

INTERACTED = "interacted"
"""The relation from a user to an item."""


def user_entity(identifier: str) -> str:
    """The id of a user's entity, which no item's can be taken for by chance."""
    return f"user:{identifier}"
