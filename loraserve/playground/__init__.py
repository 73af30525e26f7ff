"""Playground: a page on loopback that compares the answers of adapters (docs/playground.md).

The page runs in a separate environment (`loraserve.setup.isolated.PLAYGROUND`): only `page`, `columns` and
`server` import Gradio, and this package imports nothing of the set-up for deployments but boto3.
"""
