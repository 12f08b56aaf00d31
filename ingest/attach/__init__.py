"""Vectors for an index that somebody else made and goes on writing: nothing of it is reindexed, locked or lost."""
