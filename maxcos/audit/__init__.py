"""`maxcos audit`: what is wrong or odd with the items of an index, the worst first.

`read.py` reads the index once, `findings.py` says what it means, `report.py` prints it; the other modules are numpy.
"""
