"""A small repository with an app that the CDK CLI synthesizes."""

import json
import subprocess
from pathlib import Path

from stacks.project import ROOT

#: Writes an assembly with one stack, without the CDK: the template has what the side was made with.
APP = """\
import importlib.metadata, json, os, pathlib, sys

def found(name):
    try:
        return __import__(name).VALUE
    except ModuleNotFoundError:
        return None

context = json.loads(os.environ["CDK_CONTEXT_JSON"])
stage = context.get("stage")
if stage and not pathlib.Path("stages", f"{stage}.yaml").exists():
    sys.exit(2)
value = {"model": found("model"), "only_head": found("only_head"), "flag": context.get("flag"), "thing": found("thing")}
out = pathlib.Path(os.environ["CDK_OUTDIR"])
(out / "stack.template.json").write_text(json.dumps({"Resources": {"Value": {"Type": "A::B::C", "Properties": value}}}))
stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/eu-west-1", "displayName": "Stack",
         "properties": {"templateFile": "stack.template.json"}}
(out / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": {"Stack": stack}}))
"""
#: What `cdk synth` does with cdk.json, in a tenth of its time.
QUICK_CLI = """\
const { readFileSync, mkdirSync } = require("fs");
const { app, context } = JSON.parse(readFileSync("cdk.json"));
const option = (name) => process.argv[process.argv.indexOf(name) + 1];
if (process.argv.includes("--context")) Object.assign(context, Object.fromEntries([option("--context").split("=")]));
const out = option("--output");
mkdirSync(out);
const env = { ...process.env, CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify(context) };
const { status } = require("child_process").spawnSync(app, { shell: true, env, stdio: "inherit" });
if (status) console.log(`${app}: Subprocess exited with error ${status}`);
process.exitCode = status ? 1 : 0;
"""
FILES = {
    "app.py": APP,
    "model.py": 'VALUE = "first"\n',
    "cdk.json": json.dumps({"app": ".venv/bin/python app.py", "context": {"flag": False}}),
    "stages/prod.yaml": "",
    "requirements.txt": "thing==1\n",
    "package.json": "{}",
    "package-lock.json": "{}",
    ".gitignore": ".venv\nnode_modules\n",
}


def repository(root: Path) -> Path:
    """Make the repository, on its branch `main` with one commit, with this working copy's packages."""
    root.mkdir()
    write(root, FILES | {"node_modules/aws-cdk/bin/cdk": QUICK_CLI})
    (root / ".venv").symlink_to(ROOT / ".venv")
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def commit(root: Path, **files: str) -> str:
    """Commit all changes, and the contents of Python modules by name; return the commit."""
    write(root, {f"{name}.py": content for name, content in files.items()})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(root, "rev-parse", "HEAD")


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
