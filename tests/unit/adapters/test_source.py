import pytest

from adapters.source import HubSource, LocalSource, PackedSource, S3Source, SourceError, parse_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"hf://org/repo@{COMMIT}", HubSource("org/repo", COMMIT)),
        ("hf://org/re.po_1@feature/x", HubSource("org/re.po_1", "feature/x")),
        ("s3://my-bucket/a/b/", S3Source("my-bucket", "a/b/")),
        (f"asset://{'0' * 64}/", PackedSource("0" * 64)),
        ("../samples/otter", LocalSource("../samples/otter")),
    ],
)
def test_a_source_is_read_and_written_back_as_it_was(text: str, source: object) -> None:
    assert parse_source(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("", "write hf://org/repo@commit"),
        ("hf://org/repo", "write hf://org/repo@commit"),
        ("hf://repo@main", "write hf://org/repo@commit"),
        ("s3://bucket/prefix", "does not end with '/'; write s3://bucket/prefix/"),
        ("s3://Bucket!/prefix/", "it is not a source"),
        ("ftp://host/x/", "it is not a source"),
        ("asset://short/", "it is not a source"),
    ],
)
def test_an_invalid_source_is_reported_with_a_valid_form(text: str, reported: str) -> None:
    with pytest.raises(SourceError, match=reported):
        parse_source(text)


def test_only_a_commit_is_pinned() -> None:
    assert HubSource("org/repo", COMMIT).is_pinned
    assert not HubSource("org/repo", "main").is_pinned
    assert not HubSource("org/repo", COMMIT[:12]).is_pinned
