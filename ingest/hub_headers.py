"""Headers of the requests to the Hub."""

from __future__ import annotations

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers

#: Name of this project in the `User-Agent`.
LIBRARY = "lora-serving-sagemaker"

# Otherwise the library looks for the names of programs that start it, in a list that it first requests from
# huggingface.co (`utils/_detect_agent.py`): also where all files come from a mirror, and for 3 seconds where
# the internet does not answer.
constants.HF_HUB_DISABLE_TELEMETRY = True


def hub_headers(token: str | None) -> dict[str, str]:
    """Return the headers with this token; None for no token, also if one is stored on this machine."""
    return build_hf_headers(token=token or False, library_name=LIBRARY)
