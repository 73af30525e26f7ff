"""Runs of a workflow file by act (https://github.com/nektos/act) on this host: no Docker, no network.

Actions of other repositories are replaced by composite ones that do the part that counts: the checkout fetches from
a local repository what GitHub's would, with the depth that is asked for; the upload makes the artifact's zip. act
does not enforce permissions and concurrency.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.project import ROOT

_CHECKOUT = """
inputs:
  fetch-depth: {default: '1'}
  persist-credentials: {default: 'true'}
  ref: {default: ''}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        DEPTH: ${{ inputs.fetch-depth }}
        REF: ${{ inputs.ref || (github.event_name == 'pull_request' && 'refs/pull/7/merge' || 'main') }}
      run: |
        depth=(); [ "$DEPTH" = 0 ] || depth=(--depth "$DEPTH")
        git init --quiet --initial-branch=checkout .
        git fetch --quiet "${depth[@]}" "file://$ORIGIN" "$REF"
        git checkout --quiet --force FETCH_HEAD
"""
#: As upload-artifact: a name in the zip is relative to the files' least common directory.
_UPLOAD = """
inputs:
  name: {default: artifact}
  path: {required: true}
  if-no-files-found: {default: warn}
  retention-days: {default: '90'}
runs:
  using: composite
  steps:
    - shell: python
      env:
        NAME: ${{ inputs.name }}
        FILES: ${{ inputs.path }}
      run: |
        import os, pathlib, zipfile
        files = [each for line in os.environ["FILES"].split() if (each := pathlib.Path(line)).exists()]
        root = os.path.commonpath([file.parent for file in files])
        with zipfile.ZipFile(os.path.join(os.environ["ARTIFACTS"], os.environ["NAME"] + ".zip"), "w") as made:
            for file in files:
                made.write(file, file.relative_to(root))
"""
_ACTIONS = {"actions/checkout": _CHECKOUT, "actions/upload-artifact": _UPLOAD}
_USES = re.compile(r"uses: ([\w./-]+@[0-9a-f]{40})")


@dataclass(frozen=True)
class WorkflowRun:
    """A finished run."""

    succeeded: bool
    log: str


def run_workflow(name: str, event_name: str, event: dict[str, Any], folder: Path, **env: str) -> WorkflowRun:
    """Run a workflow file of this repository on an event's payload; `folder` is for what the run writes."""
    file = ROOT / ".github" / "workflows" / name
    payload, workspace = folder / "event.json", folder / "workspace"
    payload.write_text(json.dumps(event))
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir()
    command = [ROOT / ".venv" / "bin" / "act", event_name, "--workflows", file, "--eventpath", payload]
    # The runner's image is this host; the checkout runs, instead of a copy of the working directory.
    command += ["--platform", "ubuntu-24.04=-self-hosted", "--no-skip-checkout", "--directory", workspace]
    for used in sorted(set(_USES.findall(file.read_text()))):
        action = folder / used.partition("@")[0]
        action.mkdir(parents=True, exist_ok=True)
        (action / "action.yml").write_text(f"name: {action.name}\n{_ACTIONS[used.partition('@')[0]]}")
        command += ["--local-repository", f"{used}={action}"]
    for key, value in env.items():
        command += ["--secret" if key == "GITHUB_TOKEN" else "--env", f"{key}={value}"]
    # A bare Python, as a runner's.
    python = Path(sys.base_prefix) / "bin"
    done = subprocess.run(
        command,
        cwd=workspace,
        env={
            "PATH": f"{python}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return WorkflowRun(done.returncode == 0, done.stdout + done.stderr)
