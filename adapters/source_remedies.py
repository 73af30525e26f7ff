"""Remedies for sources that are written in another way, or packed: what to write, and what to run before."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from urllib.parse import unquote

from adapters.hub_ids import is_hub_folder, is_hub_id
from adapters.strict_json import shown

HUGGING_FACE = "https://huggingface.co"
#: The forms that a source may have.
FORMS = "write hf://org/repo@commit, s3://bucket/prefix/ or a local directory"
#: Endings of the archives that training jobs and people write, and tar's option for each; zip has no tar.
_ARCHIVES = {".tar.gz": "z", ".tgz": "z", ".tar.bz2": "j", ".tar.xz": "J", ".tar": "", ".zip": None}
#: Endings of the files beside which an adapter's config is.
_FILES = (".safetensors", ".bin", ".json", ".pt", ".pth", ".ckpt", ".gguf")
_HUB_PAGE = re.compile(r"^(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<path>[^?#]+)", re.IGNORECASE)
_HUB_TEXT = re.compile(r"^(?:hf|huggingface):/{0,2}(?P<path>.*)$", re.IGNORECASE)
#: Routes of the Hub's pages with a revision behind them; the first of them are of files, not of folders.
_FILE_ROUTES = ("blob", "resolve", "raw", "blame")
_ROUTES = (*_FILE_ROUTES, "tree", "commit", "commits")
#: Kinds of repositories that the Hub's URIs and pages begin with (huggingface_hub, constants.py).
HUB_KINDS = ("models", "datasets", "spaces", "kernels", "buckets")
#: An ARN, the schemes of Hadoop, and the URL of an object, with the bucket in its host or in its path.
_S3_PLACE = re.compile(
    r"^(?:(?:arn:aws[\w-]*:s3:::|s3[an]?://)(?P<path>.+?)\*?"
    r"|https://(?:(?P<bucket>[a-z0-9.-]+)\.)?s3[\w.-]*\.amazonaws\.com(?:\.cn)?/(?P<key>[^?#]*).*)$",
    re.IGNORECASE,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def correction(text: str) -> tuple[str, str]:
    """Return problem and remedy of a text that is not a source."""
    if found := _HUB_PAGE.match(text):
        return _hub(found["path"], "", "it is the address of a page")
    if found := _HUB_TEXT.match(text):
        path, _, revision = found["path"].partition("@")
        return _hub(path, revision, "it is not a source" if revision else "it names no commit")
    if text.startswith("s3://"):
        return _s3(text)
    if found := _S3_PLACE.match(text):
        bucket = f"{found['bucket']}/" if found["bucket"] else ""
        uri = f"s3://{found['path'] or bucket + unquote(found['key'])}"
        return "it is not S3's form of a source", f"write {uri}" if _is_prefix(uri) else _s3(uri)[1]
    return "it is not a source", FORMS


def is_archive(name: str) -> bool:
    """Return whether a file's or a prefix's name is that of an archive, such as `model.tar.gz`."""
    return _archive_ending(name) is not None


def is_hub_page(text: str) -> bool:
    """Return whether a text is the address of a page of the Hub, also without `https://`."""
    return _HUB_PAGE.match(text) is not None


def unpacking(archive: str) -> str:
    """Return the commands that unpack an archive in S3 (a URI) or on disk (a path), and the source then."""
    archive = archive.rstrip("/")
    ending = _archive_ending(archive) or ""
    target = archive[: -len(ending)]
    option = _ARCHIVES.get(ending)
    if not archive.startswith("s3://"):
        packed, folder = shlex.quote(archive), shlex.quote(target)
        run = f"unzip {packed} -d {folder}"
        if option is not None:
            run = f"mkdir {folder} && tar -x{option}f {packed} -C {folder}"
        return f"unpack it with `{run}`, and name {target}"
    local = shlex.quote(PurePosixPath(target).name)
    upload = f"aws s3 cp --recursive {local} {shlex.quote(target + '/')}"
    if option is None:
        fetch = f"aws s3 cp {shlex.quote(archive)} {local}.zip && unzip {local}.zip -d {local}"
    else:
        fetch = f"mkdir {local} && aws s3 cp {shlex.quote(archive)} - | tar -x{option} -C {local}"
    return f"unpack it with `{fetch} && {upload}`, and name {target}/"


def commit_page(repo: str) -> str:
    """Return the page that lists a repository's commits."""
    return f"{HUGGING_FACE}/{repo}/commits/main"


def _is_prefix(uri: str) -> bool:
    return uri.endswith("/") and uri.count("/") > 3 and not is_archive(uri)


def _archive_ending(name: str) -> str | None:
    return next((ending for ending in _ARCHIVES if name.rstrip("/").lower().endswith(ending)), None)


def _hub(path: str, revision: str, problem: str) -> tuple[str, str]:
    """Correct the path of a page of the Hub, `org/repo/tree/revision/folder`, or one without a route."""
    parts = [unquote(part) for part in path.split("/") if part]
    if parts and parts[0] in HUB_KINDS:
        kind, *parts = parts
        if kind != "models":
            return f"it names one of the Hub's {kind}", f"adapters are in model repositories: {FORMS}"
    if len(parts) < 2:
        return "it names no repository", "write hf://organization/repository@commit"
    repo, folder = "/".join(part.strip() for part in parts[:2]), parts[2:]
    if repo.endswith(".git"):
        problem, repo = "the id of a repository does not end with .git", repo.removesuffix(".git")
    if not is_hub_id(repo):
        return f"{shown(repo)} is no id of the Hub", "write organization and repository as its page has them"
    if folder and folder[0] in _ROUTES:
        route, *rest = folder
        if rest:
            revision, *rest = rest
        folder = rest[:-1] if route in _FILE_ROUTES else rest
    if folder and not is_hub_folder("/".join(folder)):
        return problem, FORMS
    place = "/".join([repo, *folder])
    if _COMMIT.fullmatch(revision):
        return problem, f"write hf://{place}@{revision}"
    return problem, f"write hf://{place}@<commit>, with the 40-digit commit from {commit_page(repo)}"


def _s3(text: str) -> tuple[str, str]:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) is None:
        return f"{bucket!r} is not the name of a bucket", "write s3://bucket/prefix/"
    if is_archive(key):
        return "it is an archive", unpacking(text)
    is_file = key.lower().endswith(_FILES)
    if not key.strip("/") or (is_file and "/" not in key):
        return "it names no prefix", f"put the files under a prefix, and write s3://{bucket}/prefix/"
    if is_file:
        prefix = text.rpartition("/")[0]
        return "it is a file", f"name the prefix that has both files: {prefix}/"
    return "the prefix does not end with '/'", f"write {text}/"
