"""Find the entities of a knowledge graph that a free text names, in any language.

Text and names are cut into the same tokens, and the text's runs of tokens are looked up in a dictionary: the cost
depends on the text's length, not on the number of names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import regex
