"""The set-up of a working copy: virtual environment, pinned packages, Node and the CDK CLI, by level.

Standard library only, because nothing is installed yet.
"""
