"""`python -m loraserve release`: one module for each command, their options and tables."""
