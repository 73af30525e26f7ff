"""Assets from the repository: the selection of files for an image or a Lambda."""

from __future__ import annotations

from pathlib import Path

#: The repository's root, the build context of images and Lambdas.
ROOT = Path(__file__).resolve().parent.parent
#: The seeder's packages, written by `loraserve/lambda_layer.py` before each synth. A single file: hashing and
#: copying the 550 files in it took 0.7 s of each synth.
LAMBDA_LAYER = ROOT / "build" / "lambda_layer.zip"
#: Option `--output` of an image's build by Docker. SageMaker's CreateModel refuses OCI manifests
#: (https://github.com/aws/amazon-sagemaker-feedback/issues/180), which are the default of BuildKit 0.32
#: and later. `type=docker` also loads the image from a builder in a container.
DOCKER_MANIFEST = "type=docker,oci-mediatypes=false"


def only(*paths: str) -> list[str]:
    """Return exclude patterns (Docker's rules) that leave only these files and folders of the repository.

    An asset's hash then depends on its content alone: a change of a test or a document redeploys nothing.
    """
    return ["*", *(f"!{path}" for path in paths), "**/__pycache__", "**/*.pyc"]
