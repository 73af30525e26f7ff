"""Archive, image and adapters of an earlier release, in the stage that it is to serve in again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loraserve.adapters.locked_revisions import missing_revisions
from loraserve.finding import Finding, ok, problem, unknown, warning
from loraserve.images.ecr_copy import ImageRepository, image_digest
from loraserve.release.ledger import Ledger
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import Release


def check_kept_release(release: Release, served: DeploymentRecord | None) -> Iterator[Finding]:
    """Compare the stored release with its record in the stage, which no deployment changes any more."""
    if served is None:
        yield warning("release", f"{release.release} has no record of serving here")
    elif (served.commit, served.tar_sha256) != (release.commit, release.tar_sha256):
        yield problem(
            "release",
            f"{release.release} is stored with the SHA-256 {release.tar_sha256} of commit {release.commit}, "
            f"and {served.tar_sha256} of commit {served.commit} served",
            "name another release with --to; look up in the bucket's versions who replaced it",
        )
    else:
        yield ok("release", f"{release.release}, as it served since {served.ended}")


def check_kept_image(repository: ImageRepository, tag: str, served: str | None) -> Iterator[Finding]:
    """Look for the image in the stage's own repository; `served` is its digest in the release's record."""
    found = image_digest(repository, tag)
    if found is None:
        yield problem(
            "image",
            f"{repository} has no image with the tag {tag} any more",
            "name another release with --to, or promote this one again, which copies the image from the "
            "stage before",
        )
    elif served is not None and found != served:
        yield problem(
            "image",
            f"the tag {tag} of {repository} has {found} now, and {served} served",
            "name another release with --to; tags of this repository should never be moved",
        )
    else:
        yield ok("image", f"{found} is in {repository}")


def check_kept_adapters(ledger: Ledger, digests: Mapping[str, str | None]) -> Iterator[Finding]:
    """Look for the revisions in the stage's own store, where they expire; `digests` are by adapter's name."""
    missing = missing_revisions(ledger.s3, ledger.bucket, digests)
    unlocked = sum(digest is None for digest in digests.values())
    if missing:
        yield problem(
            "adapters",
            f"the revisions of {', '.join(missing)} have expired in the store of {ledger.stage}, after "
            "retention_days",
            "name another release with --to; or publish these adapters again from their source "
            f"(`python -m loraserve adapters --stage {ledger.stage} publish`), then run this again",
        )
    elif unlocked:
        yield unknown(
            "adapters",
            f"{len(digests) - unlocked} with a known digest are in the store; {unlocked} without one are "
            "fetched from their sources if they are gone",
        )
    else:
        yield ok("adapters", f"the revisions of all {len(digests)} are in the store")
