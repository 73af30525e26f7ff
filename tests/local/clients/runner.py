"""Runner of client processes, whose environment names only the laptop cloud."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from laptop_cloud.aws_isolation import aws_variables
from laptop_cloud.cloud import Cloud
from loraserve.setup import isolated
from tests.harness.isolated import programs
from tests.harness.outgoing_proxy import OutgoingProxy

#: Time limit of one client process, in seconds.
LIMIT_S = 120
#: The SageMaker SDK sends telemetry to AWS unless its defaults opt out.
SAGEMAKER_DEFAULTS = """\
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


class Clients:
    """The environment of requirements-clients.txt, with the home directory of one user."""

    def __init__(self, cloud: Cloud, home: Path, outside: OutgoingProxy) -> None:
        """Write the SDK's defaults to `home`, the user's home directory, which is empty."""
        self.programs = programs(isolated.CLIENTS)
        self.home = home
        self._outside = outside
        defaults = home / "sagemaker.yaml"
        defaults.write_text(SAGEMAKER_DEFAULTS)
        self.environment = {
            "PATH": f"{self.programs}{os.pathsep}{os.defpath}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(defaults),
            **aws_variables(cloud.url),
            **outside.environment,
        }

    def run(self, script: str, *arguments: str) -> Any:
        """Run a script of this folder; return the JSON that it prints."""
        file = Path(__file__).with_name(script)
        done = self.call(str(self.programs / "python"), str(file), *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the home directory; assert that it connects to no other machine."""
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert self._outside.asked == []
        return done
