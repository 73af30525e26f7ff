"""`python -m loraserve adapters`: one module for each command, their options, tables and output."""
