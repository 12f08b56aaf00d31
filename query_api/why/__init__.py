"""Why one item is a hit of a query: what its cosines lose when a piece of the query or of the item is left out.

That is occlusion (Zeiler and Fergus 2014, arXiv:1311.2901, for pictures; Li, Monroe and Jurafsky 2016,
arXiv:1612.08220, for words). It asks encoders nothing but what the contract has, so it explains any of them, and a
fixed number of times: see `MOST_ASKED`, `MOST_WRITTEN` and `CELLS`.
"""
