"""Files beside the image's own that no image has."""

from __future__ import annotations

#: Generators of committed files, as Dockerfile.dockerignore and git's pathspecs name them.
GENERATORS = ("container/vllm/model_trees.py", "container/vllm/write_*.py")
