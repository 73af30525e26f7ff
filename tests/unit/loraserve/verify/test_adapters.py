"""Published adapters, against those of a release."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, content_digest, revision_of
from adapters.store.publishing import BY_HAND
from loraserve.finding import State
from loraserve.verify.adapters import check_adapters
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud, body
from tests.unit.loraserve.verify.made import PROD, entry, expected

A, B = "a" * 64, "b" * 64


def test_the_registry_is_compared_name_by_name_and_digest_by_digest(cloud: Cloud) -> None:
    cloud.store(entry("otter", A), entry("heron", B), entry("extra", A), entry("mine", A, BY_HAND))
    of_release = replace(expected(), adapters={"otter": A, "heron": A, "gone": A})
    found = list(check_adapters(PROD, cloud, of_release, None))
    assert [(finding.state, finding.found.partition(":")[0]) for finding in found] == [
        (State.PROBLEM, "extra"),
        (State.PROBLEM, "gone"),
        (State.PROBLEM, "heron"),
        (State.OK, "published besides release 2026-11-27-1a2b3c4"),
    ]


def test_a_registry_as_in_the_release_passes(cloud: Cloud) -> None:
    cloud.store(entry("otter", A), entry("heron", B))
    of_release = replace(expected(), adapters={"otter": A, "heron": None})
    [found] = check_adapters(PROD, cloud, of_release, None)
    assert (found.state, found.found) == (State.OK, "2 adapters, as in release 2026-11-27-1a2b3c4")


@pytest.mark.parametrize(("weights", "state"), [(b"w", State.OK), (b"x", State.PROBLEM)])
def test_the_files_of_adapters_published_since_are_read(cloud: Cloud, weights: bytes, state: State) -> None:
    sha256 = {
        CONFIG_FILE: hashlib.sha256(b"c").hexdigest(),
        WEIGHTS_FILE: hashlib.sha256(b"w").hexdigest(),
    }
    digest = content_digest(sha256)
    published = replace(entry("otter", digest), sha256=sha256[WEIGHTS_FILE], revision=revision_of(digest))
    cloud.store(published)
    cloud.answers("s3", "get_object", body(b"c"))
    cloud.answers("s3", "get_object", body(weights))
    found = list(check_adapters(PROD, cloud, expected(), THEN - timedelta(seconds=1)))
    assert [finding.state for finding in found] == [State.OK, state]


def test_the_files_of_older_adapters_are_not_read(cloud: Cloud) -> None:
    cloud.store(entry("otter", A))
    [found] = check_adapters(PROD, cloud, expected(), THEN + timedelta(seconds=1))
    assert found.state is State.OK
