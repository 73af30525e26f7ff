"""The repository as an asset: which of its files go into an image or a Lambda, and nothing else."""

from __future__ import annotations

from pathlib import Path

#: The repository's root, the build context of images and Lambdas.
ROOT = Path(__file__).resolve().parent.parent
#: The seeder's packages, put there by `loraserve/lambda_layer.py` before each synth. One file: of the 550 in
#: it, hashing and copying took 0.7 s of each synth.
LAMBDA_LAYER = ROOT / "build" / "lambda_layer.zip"


def only(*paths: str) -> list[str]:
    """Exclude patterns (Docker's rules) that leave just these files and folders of the repository.

    An asset's hash then depends on what is in it: a change of a test or a document redeploys nothing.
    """
    return ["*", *(f"!{path}" for path in paths), "**/__pycache__", "**/*.pyc"]
