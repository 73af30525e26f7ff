"""The checks of a promotion before it changes anything, a module per topic; `catalog.py` lists them."""
