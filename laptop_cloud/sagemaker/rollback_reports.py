"""Reports of rolled back updates to CloudFormation.

What CloudFormation reports after SageMaker has rolled an update back is not documented. By default the
resource fails, which is the good case; `Cloud.hide_rollbacks` chooses the other one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class RollbackReports:
    """The choice for one account and region."""

    hidden: bool = False
    """The resource is updated, and DescribeEndpoint gives no reason."""
    keeps_config: bool = False
    """CloudFormation's clean-up leaves the config that still serves, and its model."""
