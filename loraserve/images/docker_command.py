"""The program that the CDK CLI runs in place of `docker`, to deploy images to the laptop cloud.

CDK_DOCKER names it: `loraserve/images/docker-for-cdk`, which works from every directory. It has the commands
of cdk-assets (`Docker` in lib/index.js of aws-cdk 2.1148.1) and no others:

- `build` builds with docker, podman or buildah, whichever works. A stand-in replaces the base image of
  container/images.lock, which a laptop has neither the disk nor the GPU for.
- `login`, `tag` and `push` take an account's registry, `<account>.dkr.ecr.<region>.amazonaws.com`, for the
  laptop cloud's, which is on this machine. They refuse every other registry.
- `inspect` and `images` find nothing: an asset's hash does not tell which stand-in an image is built from.

The variable LAPTOP_REGISTRY is the address of the laptop cloud, host and port. The builder keeps the token of
`login` in the file of REGISTRY_AUTH_FILE (docker: in the folder DOCKER_CONFIG), which the caller deletes.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from adapters.engines.registry import ENGINES
from loraserve.errors import UserError
from loraserve.images.builders import Builder, find_builder
from loraserve.images.machine import build_secrets
from loraserve.images.stand_in.bases import stand_in_arguments
from stacks.config.base_images import build_argument
from stacks.project import DOCKER_MANIFEST

#: The address of the laptop cloud, e.g. `127.0.0.1:4566`.
REGISTRY_VARIABLE: Final = "LAPTOP_REGISTRY"
#: The program for CDK_DOCKER.
PROGRAM: Final = Path(__file__).with_name("docker-for-cdk")
_ECR: Final = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?P<path>/[a-z0-9._/-]+:[\w.-]+)?")


class DockerCommandRefused(UserError):
    """A command that this program does not have, or a registry outside this machine."""


def main(arguments: Sequence[str], environment: Mapping[str, str], password: str) -> int:
    """Run one command of `docker`; return its exit status. Raises `UserError`.

    `password` is the text of standard input, which only `login` reads.
    """
    given, rest = _parser().parse_known_args(arguments)
    if rest:
        raise DockerCommandRefused(
            f"docker {given.command}: {' '.join(rest)} is not among the arguments of the pinned CDK CLI: run "
            "docker itself"
        )
    builder = find_builder()
    if given.command == "inspect":
        return 1
    if given.command == "build":
        build_args = _with_stand_ins(dict(arg.partition("=")[::2] for arg in given.build_arg), builder)
        dockerfile = Path(given.context, given.file).resolve()
        with build_secrets() as secrets:
            builder.build(
                dockerfile=dockerfile,
                context=Path(given.context).resolve(),
                tag=given.tag,
                build_args=build_args,
                secrets=secrets,
                on_line=print,
            )
    elif given.command == "login":
        registry = _laptop_registry(given.registry, environment)
        builder.login(registry, given.username, password.strip(), tls=False)
    elif given.command == "tag":
        _laptop_registry(given.name, environment)
        builder.tag(given.image, given.name)
        builder.remove(given.image)
    elif given.command == "push":
        target = _laptop_registry(given.image, environment)
        builder.push(given.image, target, tls=False)
        builder.remove(given.image)
    return 0


def _with_stand_ins(given: Mapping[str, str], builder: Builder) -> dict[str, str]:
    """Return the build arguments with the stand-ins of base images, and print what is replaced."""
    found = dict(given)
    for engine in ENGINES:
        name = build_argument(engine)
        if name in given:
            found |= stand_in_arguments(engine, builder)
            print(f"{name}: the stand-in {found[name]} replaces {given[name]}", flush=True)
    return found


def _laptop_registry(name: str, environment: Mapping[str, str]) -> str:
    """Return the address on this machine of a registry of ECR, or of an image in one."""
    found = _ECR.fullmatch(name)
    if found is None:
        raise DockerCommandRefused(
            f"{name} is not in a registry of ECR (<account>.dkr.ecr.<region>.amazonaws.com), which the "
            "laptop cloud emulates: use docker itself for any other"
        )
    address = environment.get(REGISTRY_VARIABLE, "")
    host, _, port = address.rpartition(":")
    try:
        loopback = ip_address(host).is_loopback and port.isdecimal()
    except ValueError:
        loopback = False
    if not loopback:
        raise DockerCommandRefused(
            f"{REGISTRY_VARIABLE}={address or '(not set)'}: set it to the laptop cloud's address on this "
            "machine, such as 127.0.0.1:4566; images are pushed nowhere else"
        )
    return f"{address}{found['path'] or ''}"


def _parser() -> argparse.ArgumentParser:
    """Return a parser of the arguments that cdk-assets passes for this project's images."""
    parser = argparse.ArgumentParser(prog=PROGRAM.name, description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", help="folder of credential helpers; not read")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("--build-arg", action="append", default=[])
    build.add_argument("--tag", required=True)
    build.add_argument("--file", default="Dockerfile")
    build.add_argument("--platform", choices=["linux/amd64"])
    # The builders make Docker's manifests without it.
    build.add_argument("--output", choices=[DOCKER_MANIFEST])
    build.add_argument("context")
    commands.add_parser("inspect").add_argument("image")
    images = commands.add_parser("images")
    images.add_argument("--format")
    images.add_argument("--filter")
    login = commands.add_parser("login")
    login.add_argument("--username", required=True)
    login.add_argument("--password-stdin", action="store_true", required=True)
    login.add_argument("registry")
    tag = commands.add_parser("tag")
    tag.add_argument("image")
    tag.add_argument("name")
    commands.add_parser("push").add_argument("image")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], os.environ, sys.stdin.read() if "--password-stdin" in sys.argv else ""))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
