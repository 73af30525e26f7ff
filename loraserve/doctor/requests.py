"""Time limits of the doctor's requests: an answer that does not come is a finding, within seconds."""

from __future__ import annotations

from botocore.config import Config

#: Two attempts of at most 15 s each; the default would be five of 120 s.
PATIENCE = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})
