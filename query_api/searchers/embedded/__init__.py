"""The embedded store's searcher: SQLite for words, items and highlights, numpy for vectors, filters and facets."""

from query_api.searchers.embedded.searcher import EmbeddedSearcher

__all__ = ["EmbeddedSearcher"]
