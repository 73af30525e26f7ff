"""The checks, one module per topic; `loraserve/doctor/catalog.py` lists them."""
