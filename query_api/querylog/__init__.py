"""The query log: one document per search in an index of the same cluster, written behind the searches' backs."""
