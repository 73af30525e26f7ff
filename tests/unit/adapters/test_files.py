import hashlib

import pytest

from adapters.files import BytesFile, sha256_of, sha256_of_chunks

CONTENT = bytes(range(256)) * 36 * 1024 * 2  # 18 MiB: three chunks of 8 MiB


def test_a_file_hashes_to_the_sha256_of_its_content_chunk_by_chunk() -> None:
    asked: list[None] = []
    assert sha256_of(BytesFile(CONTENT), lambda: asked.append(None)) == hashlib.sha256(CONTENT).hexdigest()
    assert len(asked) == 3
    assert sha256_of(BytesFile(b"")) == hashlib.sha256(b"").hexdigest()


def test_the_receiver_gets_the_bytes_of_each_chunk_and_may_stop_the_hashing() -> None:
    received: list[int] = []
    assert (
        sha256_of_chunks([b"one", b"", b"three"], received.append) == hashlib.sha256(b"onethree").hexdigest()
    )
    assert received == [3, 0, 5]

    def stop(_: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        sha256_of_chunks(iter([b"one"]), stop)
