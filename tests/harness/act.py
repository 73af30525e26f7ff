"""Runs of a workflow file by act (https://github.com/nektos/act) on this host: no Docker, no network.

Actions of other repositories are replaced by composite ones that do the part that counts: the checkout fetches from
a local repository what GitHub's would, with the depth that is asked for; the upload makes the artifact's zip, and the
download unpacks it; credentials are those that the test has for the job's environment. act does not enforce
permissions and concurrency, and knows no environments: nothing waits for an approval.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
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
        WITHOUT_FILES: ${{ inputs.if-no-files-found }}
      run: |
        import os, pathlib, zipfile
        named = [each for line in os.environ["FILES"].split() if (each := pathlib.Path(line)).exists()]
        files = [file for each in named for file in ([each] if each.is_file() else sorted(each.rglob("*")))]
        root = os.path.commonpath([each.parent if each.is_file() else each for each in named]) if named else "."
        if files:
            # An artifact is immutable: "x" fails where there is one.
            with zipfile.ZipFile(os.path.join(os.environ["ARTIFACTS"], os.environ["NAME"] + ".zip"), "x") as made:
                for file in files:
                    made.write(file, file.relative_to(root))
        elif os.environ["WITHOUT_FILES"] == "error":
            raise SystemExit("No files were found with the provided path")
"""
_DOWNLOAD = """
inputs:
  name: {default: ''}
  pattern: {default: ''}
  merge-multiple: {default: 'false'}
  path: {default: '.'}
runs:
  using: composite
  steps:
    - shell: python
      env:
        PATTERN: ${{ inputs.name || inputs.pattern }}
        NAME: ${{ inputs.name }}
        FOLDER: ${{ inputs.path }}
      run: |
        import os, pathlib, zipfile
        found = sorted(pathlib.Path(os.environ["ARTIFACTS"]).glob(os.environ["PATTERN"] + ".zip"))
        if os.environ["NAME"] and not found:
            raise SystemExit("Unable to download artifact(s): Artifact not found for name: " + os.environ["NAME"])
        for each in found:
            with zipfile.ZipFile(each) as archive:
                archive.extractall(os.environ["FOLDER"])
"""
#: Environment variables of the environment that GitHub would have: act has one value of a variable for all jobs.
_CREDENTIALS = """
inputs:
  role-to-assume: {required: true}
  aws-region: {required: true}
  role-duration-seconds: {default: '3600'}
runs:
  using: composite
  steps:
    - shell: python
      env:
        STAGE: ${{ env.STAGE || github.event.inputs.stage }}
        REGION: ${{ inputs.aws-region }}
      run: |
        import json, os, pathlib
        suffix = {"plan": "-plan", "verify": "-plan", "deploy": "", "rollback": "-rollback"}[os.environ["GITHUB_JOB"]]
        found = json.loads(pathlib.Path(os.environ["CREDENTIALS"]).read_text())[os.environ["STAGE"] + suffix]
        found |= {"AWS_REGION": os.environ["REGION"], "AWS_DEFAULT_REGION": os.environ["REGION"]}
        with open(os.environ["GITHUB_ENV"], "a") as file:
            file.writelines(f"{name}={value}\\n" for name, value in found.items())
"""
_ACTIONS = {
    "actions/checkout": _CHECKOUT,
    "actions/upload-artifact": _UPLOAD,
    "actions/download-artifact": _DOWNLOAD,
    "aws-actions/configure-aws-credentials": _CREDENTIALS,
}
_USES = re.compile(r"uses: ([\w./-]+@[0-9a-f]{40})")


@dataclass(frozen=True)
class WorkflowRun:
    """A finished run."""

    succeeded: bool
    log: str


def run_workflow(
    name: str,
    event_name: str,
    event: dict[str, Any],
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    credentials: Mapping[str, Mapping[str, str]] | None = None,
    python: Path | None = None,
    timeout: float = 120,
    **env: str,
) -> WorkflowRun:
    """Run a workflow file of this repository on an event's payload; `folder` is for what the run writes.

    `variables` are the repository's, `credentials` the environment variables of a session by the name of the
    environment of GitHub, and `python` the folder of the runner's Python: a bare one by default.
    """
    workflows = ROOT / ".github" / "workflows"
    payload, workspace = folder / "event.json", folder / "workspace"
    payload.write_text(json.dumps(event))
    shutil.rmtree(workspace, ignore_errors=True)
    # Reusable workflows are read from the working directory.
    shutil.copytree(workflows, workspace / ".github" / "workflows")
    command = [ROOT / ".venv" / "bin" / "act", event_name, "--workflows", workflows / name]
    # The runner's image is this host; the checkout runs, instead of a copy of the working directory.
    command += ["--eventpath", payload, "--platform", "ubuntu-24.04=-self-hosted"]
    command += ["--no-skip-checkout", "--directory", workspace]
    for used in sorted({used for file in workflows.iterdir() for used in _USES.findall(file.read_text())}):
        action = folder / used.partition("@")[0]
        action.mkdir(parents=True, exist_ok=True)
        (action / "action.yml").write_text(f"name: {action.name}\n{_ACTIONS[used.partition('@')[0]]}")
        command += ["--local-repository", f"{used}={action}"]
    (folder / "credentials.json").write_text(json.dumps(credentials or {}))
    for key, value in {**env, "CREDENTIALS": str(folder / "credentials.json")}.items():
        command += ["--secret" if key == "GITHUB_TOKEN" else "--env", f"{key}={value}"]
    for key, value in (variables or {}).items():
        command += ["--var", f"{key}={value}"]
    done = subprocess.run(
        command,
        cwd=workspace,
        env={
            "PATH": f"{python or Path(sys.base_prefix) / 'bin'}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    return WorkflowRun(done.returncode == 0, done.stdout + done.stderr)
