"""`python -m loraserve adapters …`: the adapter store of a stage, for people.

`commands` is what they type, `tables` what they see; the other modules do the work and know nothing of both.
"""
