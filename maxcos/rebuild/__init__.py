"""`maxcos rebuild`: a fresh index beside the one that readers use, checks, and the swap.

`run.py` does it, `compare.py` tells how far the old and the new index agree.
"""
