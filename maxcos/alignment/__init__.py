"""`maxcos align`: heads that place pictures among texts, kept only where they beat what there is without them.

read.py     the index's items -> what the encoders see, and their titles     groups.py   what is the same, or nearly
compare.py  the ways to place a picture, by the same texts                   classes.py  which class is nearest
run.py      all of it, the file and the report
"""
