"""Retention of superseded revisions: kept for some days, so that a rollback finds them.

S3's lifecycle counts days from an object's creation, so a tag on an old object would delete it at once.
Retiring therefore copies each object onto itself, with the tag: the same content with a new date.
"""

from __future__ import annotations

from adapters.store.layout import ADAPTER_FILES, name_of
from adapters.store.registry import AdapterRegistry
from adapters.store.s3 import S3Client, is_absent

#: The tag that the bucket's lifecycle rule looks for.
RETIRED_TAG = ("lora-serving-retired", "true")


class Retention:
    """Retires and revives revisions of one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """`s3` is boto3's client."""
        self._s3 = s3
        self._bucket = bucket
        self._registry = AdapterRegistry(s3, bucket)

    def retire(self, prefix: str) -> None:
        """Start the retention period of a revision, unless its name points to it (again)."""
        if self._is_current(prefix):
            # An interrupted retirement, followed by a rollback, may have left the tag.
            self.revive(prefix)
            return
        for file in ADAPTER_FILES:
            try:
                self._s3.copy_object(
                    Bucket=self._bucket,
                    Key=prefix + file,
                    CopySource={"Bucket": self._bucket, "Key": prefix + file},
                    # S3 refuses to copy an object onto itself unless something about it changes.
                    MetadataDirective="REPLACE",
                    TaggingDirective="REPLACE",
                    Tagging="=".join(RETIRED_TAG),
                )
            except self._s3.exceptions.ClientError as error:
                if not is_absent(error):
                    raise
        # A rollback to it may have revived it between the first check and the tag.
        if self._is_current(prefix):
            self.revive(prefix)

    def revive(self, prefix: str) -> bool:
        """End the retention period of a revision, if it has begun; false if a file has been deleted."""
        there = True
        for file in ADAPTER_FILES:
            try:
                self._s3.delete_object_tagging(Bucket=self._bucket, Key=prefix + file)
            except self._s3.exceptions.ClientError as error:
                if not is_absent(error):
                    raise
                there = False
        return there

    def is_retired(self, prefix: str) -> bool:
        """Return whether a file of the revision has the tag; a deleted file has none."""
        return any(self._has_tag(prefix + file) for file in ADAPTER_FILES)

    def _has_tag(self, key: str) -> bool:
        name, value = RETIRED_TAG
        try:
            tags = self._s3.get_object_tagging(Bucket=self._bucket, Key=key)["TagSet"]
        except self._s3.exceptions.ClientError as error:
            if is_absent(error):
                return False
            raise
        return {"Key": name, "Value": value} in tags

    def _is_current(self, prefix: str) -> bool:
        published = self._registry.get(name_of(prefix))
        return published is not None and published.entry.prefix == prefix
