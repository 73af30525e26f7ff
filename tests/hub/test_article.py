"""The test Hub's copy of the article's repository has the sizes that are known of the real one."""

from tests.hub.article import CHECKPOINT, repository


def test_files_and_sizes_are_those_of_the_hub() -> None:
    files = repository()
    assert list(files) == [
        ".gitattributes", "README.md", "adapter_config.json", "adapter_model.bin", "training_args.bin",
    ]  # fmt: skip
    assert len(files["adapter_config.json"]) == 501
    assert round(len(files[CHECKPOINT]) / 1e6, 1) == 13.7
