"""Owner of a container, for tests that kill it: starts the command of its arguments under a supervisor."""

import subprocess
import sys

from laptop_cloud.containers.supervisor import supervised

if __name__ == "__main__":
    process = subprocess.Popen(supervised(sys.argv[1:]), stdin=subprocess.PIPE)
    print(process.pid, flush=True)
    sys.exit(process.wait())
