import json
from dataclasses import replace

import pytest

from adapters.store.layout import (
    RegistryEntry,
    UnreadableEntry,
    adapter_prefix,
    content_digest,
    model_prefix,
    registry_key,
    revision_of,
)

ENTRY = RegistryEntry(
    "team/otter", "0123456789abcdef", "0123456789abcdef" * 4, 8, 100, "tiny", "s3://b/p/", "me"
)


def test_an_entry_survives_the_way_through_the_bucket() -> None:
    assert RegistryEntry.from_json(ENTRY.to_json()) == ENTRY


def test_an_entry_written_by_a_later_version_can_still_be_read() -> None:
    body = ENTRY.to_json().replace(b"{", b'{"later": 1, ', 1)
    assert RegistryEntry.from_json(body) == ENTRY


def test_an_entry_written_before_conversions_can_still_be_read() -> None:
    data = json.loads(ENTRY.to_json())
    del data["converted_from"], data["source_sha256"]
    assert RegistryEntry.from_json(json.dumps(data).encode()) == ENTRY


def test_a_manifests_sha256_refers_to_the_file_that_the_source_has() -> None:
    entry = replace(ENTRY, sha256="a" * 64)
    assert entry.stated_sha256 == "a" * 64
    converted = replace(entry, converted_from="adapter_model.bin", source_sha256="b" * 64)
    assert converted.stated_sha256 == "b" * 64
    assert RegistryEntry.from_json(converted.to_json()) == converted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        json.dumps({"name": "otter"}).encode(),
        ENTRY.to_json().replace(b"0123456789abcdef", b"latest"),
        ENTRY.to_json().replace(b'"rank": 8', b'"rank": null'),
        ENTRY.to_json().replace(b'"size": 100', b'"size": 1e400'),
    ],
)
def test_a_damaged_entry_is_one_error_whatever_is_wrong_with_it(body: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        RegistryEntry.from_json(body)


def test_prefixes_end_with_a_slash_so_that_no_adapters_prefix_is_the_start_of_another() -> None:
    assert adapter_prefix("x/1", "a" * 16) == f"adapters/x/1/{'a' * 16}/"
    assert not adapter_prefix("x/10", "a" * 16).startswith(adapter_prefix("x/1", "a" * 16))
    assert model_prefix("m", "r") == "models/m/r/"
    assert registry_key("x/1") == "registry/x/1.json"


def test_digest_depends_on_names_and_contents_and_not_on_order() -> None:
    one = content_digest({"a": "1", "b": "2"})
    assert one == content_digest({"b": "2", "a": "1"})
    assert one != content_digest({"a": "2", "b": "1"})
    assert revision_of(one) == one[:16]
