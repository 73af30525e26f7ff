"""botocore sessions of one process that parse each service's model once.

A model takes 0.1 to 0.5 s, and tens of thousands of objects that every full garbage collection scans.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.loaders import create_loader

_LOADER = create_loader()


def new_session(**options: Any) -> botocore.session.Session:
    """Return a new session; `options` are those of botocore's class."""
    session = botocore.session.Session(**options)
    session.register_component("data_loader", _LOADER)
    return session
