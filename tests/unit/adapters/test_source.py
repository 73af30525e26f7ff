import pytest

from adapters.source import HubSource, LocalSource, PackedSource, S3Source, SourceError, parse_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FROM_PAGE = "with the 40-digit commit from https://huggingface.co/org/repo/commits/main"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"hf://org/repo@{COMMIT}", HubSource("org/repo", COMMIT)),
        ("hf://org/re.po_1@feature/x", HubSource("org/re.po_1", "feature/x")),
        (f"hf://org/repo/en@{COMMIT}", HubSource("org/repo", COMMIT, "en")),
        (f"hf://org/repo/runs/check point-500@{COMMIT}", HubSource("org/repo", COMMIT, "runs/check point-500")),
        ("hf://org/repo/en@feature/x", HubSource("org/repo", "feature/x", "en")),
        ("hf://org/repo@main/en", HubSource("org/repo", "main/en")),
        ("hf://org/repo@refs/pr/1", HubSource("org/repo", "refs/pr/1")),
        (f"hf://org/repo/team@5/a\\b@{COMMIT}", HubSource("org/repo", COMMIT, "team@5/a\\b")),
        ("s3://my-bucket/a/b/", S3Source("my-bucket", "a/b/")),
        (f"asset://{'0' * 64}/", PackedSource("0" * 64)),
        ("../samples/otter", LocalSource("../samples/otter")),
        ("./a:b", LocalSource("./a:b")),
        ("C:/adapters/otter", LocalSource("C:/adapters/otter")),
    ],
)  # fmt: skip
def test_a_source_is_read_and_written_back_as_it_was(text: str, source: object) -> None:
    assert parse_source(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        # As huggingface_hub's HfFileSystem writes a folder.
        (f"hf://org/repo@{COMMIT}/en/de", f"hf://org/repo/en/de@{COMMIT}"),
        ("hf://org/repo@refs/pr/1/en", "hf://org/repo/en@refs/pr/1"),
        (f"hf://org/repo@{COMMIT}/team@5", f"hf://org/repo/team@5@{COMMIT}"),
        (f"hf://org/repo/en/@{COMMIT}/", f"hf://org/repo/en@{COMMIT}"),
        (f"hf://org/repo@{COMMIT}/", f"hf://org/repo@{COMMIT}"),
        (f"hf://org/repo@{COMMIT.upper()}/en", f"hf://org/repo/en@{COMMIT}"),
    ],
)
def test_another_way_to_write_a_folder_is_understood_and_written_in_one_way(text: str, written: str) -> None:
    assert str(parse_source(text)) == written
    assert parse_source(written) == parse_source(text)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("", "write hf://org/repo@commit"),
        ("hf://org/repo", f"it names no commit; write hf://org/repo@<commit>, {FROM_PAGE}"),
        ("hf://org/repo/en", f"it names no commit; write hf://org/repo/en@<commit>, {FROM_PAGE}"),
        ("hf:org/repo", f"write hf://org/repo@<commit>, {FROM_PAGE}"),
        (f"hf:org/repo/en@{COMMIT}", f"write hf://org/repo/en@{COMMIT}"),
        ("hf://repo@main", "it names no repository; write hf://organization/repository@commit"),
        (f"hf://models/org/repo@{COMMIT}", f"write hf://org/repo@{COMMIT}"),
        (f"hf://datasets/org/repo@{COMMIT}", "one of the Hub's datasets; adapters are in model repositories"),
        (f"hf://org/repo/en@{COMMIT}/de", "a folder before and after the '@'"),
        (f"hf://org/repo/../en@{COMMIT}", "'../en' is not a folder of a repository"),
        ("hf://org/repo@feature%2Fx", "'feature%2Fx' is not a revision"),
        ("https://huggingface.co/org/repo", f"write hf://org/repo@<commit>, {FROM_PAGE}"),
        (f"https://huggingface.co/org/repo/tree/{COMMIT}/en", f"write hf://org/repo/en@{COMMIT}"),
        (f"huggingface.co/org/repo/commit/{COMMIT}", f"write hf://org/repo@{COMMIT}"),
        (f"https://hf.co/org/repo/blob/{COMMIT}/en/adapter_model.safetensors?download=true",
         f"write hf://org/repo/en@{COMMIT}"),
        ("hf://org/repo/blob/main/en/adapter_config.json", f"write hf://org/repo/en@<commit>, {FROM_PAGE}"),
        (f"hf://org/repo.git@{COMMIT}", f"does not end with .git; write hf://org/repo@{COMMIT}"),
        ("https://huggingface.co/org/repo.git", f"write hf://org/repo@<commit>, {FROM_PAGE}"),
        (f"hf://org/repo @{COMMIT}", f"it is not a source; write hf://org/repo@{COMMIT}"),
        (f"hf://org/repo:en@{COMMIT}", "'org/repo:en' is no id of the Hub; write organization and repository as its"),
        (f"hf://org/re--po@{COMMIT}", "'org/re--po' is no id of the Hub"),
        (f"hf://../repo@{COMMIT}", "'../repo' is no id of the Hub"),
        (f"hf://org/..@{COMMIT}", "'org/..' is no id of the Hub"),
        (f"hf://org/{'r' * 97}@{COMMIT}", "is no id of the Hub"),
        (f"https://huggingface.co/org/repo/tree/{COMMIT}/../en", "it is the address of a page; write hf://org/repo@commit"),
        (f" hf://org/repo@{COMMIT}", f"there are spaces around it; write hf://org/repo@{COMMIT}"),
        ("./otter ", "there are spaces around it; write ./otter"),
        (" hf://org/repo", f"it names no commit; write hf://org/repo@<commit>, {FROM_PAGE}"),
        ("S3://bucket/a/", "write s3://bucket/a/"),
        ("s3a://bucket/a/", "write s3://bucket/a/"),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a/", "write s3://bucket/a/"),
        ("s3://bucket/prefix", "does not end with '/'; write s3://bucket/prefix/"),
        ("s3://bucket", "it names no prefix; put the files under a prefix, and write s3://bucket/prefix/"),
        ("s3://bucket/adapter_config.json", "put the files under a prefix, and write s3://bucket/prefix/"),
        ("s3://bucket/a/adapter_model.safetensors", "it is a file; name the prefix that has both files: s3://bucket/a/"),
        ("s3://bucket/job/output/model.tar.gz", "it is an archive; unpack it with `mkdir model && aws s3 cp s3://bucket/job/output/model.tar.gz - | tar -xz -C model && aws s3 cp --recursive model s3://bucket/job/output/model/`, and name s3://bucket/job/output/model/"),
        ("s3://bucket/job/output/model.tar.gz/", "it is an archive; unpack it"),
        ("s3://Bucket!/prefix/", "'Bucket!' is not the name of a bucket"),
        ("arn:aws:s3:::bucket/a/*", "write s3://bucket/a/"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/adapter_config.json", "that has both files: s3://bucket/a/"),
        ("ftp://host/x/", "it is not a source"),
        ("asset://short/", "it is not a source"),
    ],
)  # fmt: skip
def test_an_invalid_source_is_reported_with_a_valid_form(text: str, reported: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_source(text)
    assert reported in str(refused.value)


def test_only_a_commit_is_pinned() -> None:
    assert HubSource("org/repo", COMMIT).is_pinned
    assert not HubSource("org/repo", "main").is_pinned
    assert not HubSource("org/repo", COMMIT[:12]).is_pinned


def test_a_folder_stays_when_its_branch_is_resolved() -> None:
    assert HubSource("org/repo", "main", "en").at(COMMIT) == HubSource("org/repo", COMMIT, "en")
    assert HubSource("org/repo", "main", "en").root == HubSource("org/repo", "main")
    assert HubSource("org/repo", "main", "en").below("500") == HubSource("org/repo", "main", "en/500")
