"""How much one request may ask for. Pictures have limits of their own in `encoders.parts.pictures`."""

from __future__ import annotations

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request, a picture included."""
MAX_TEXT = 500
MAX_TYPED = 100
"""Characters of what is typed into a box that suggests."""
MAX_TERMS = 16
MAX_LINKS = 4
"""Pictures of one request that are given by their addresses."""
MAX_ITEMS = 100
MAX_DIMS = 8192
MAX_SIZE = 200
MAX_WINDOW = 10_000
"""How deep pages go without a walk."""
MAX_FACETS = 20
MAX_RANGES = 50
MAX_SORTS = 5
MAX_FIELDS = 100
MAX_COUNT = 2_147_483_646
"""Engines count in 32 bits, and are asked for one more, which tells whether there are more."""
MAX_SUGGESTIONS = 20
MAX_ENTITIES = 100
