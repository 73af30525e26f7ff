"""Operations on the adapter store of a stage: check, publish, roll back, remove, verify, garbage collection.

`loraserve.cli.adapters` has the commands and their output.
"""
