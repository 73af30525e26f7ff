"""S3 sources, read with the caller's credentials: the seeder's role is another principal.

What the caller may not read, the seeder may: its role has `s3:GetObject` and, unless the stage's adapters
are locked, `s3:ListBucket` on each source bucket, and `kms:Decrypt` on `decrypt_keys`. What is absent for a
caller that may list is absent for it, too.
"""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters.source import S3Source, SourceError
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.store.s3 import error_code, is_absent
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from ingest.adapter_files import AdapterFiles, adapter_files
from ingest.missing_adapter import missing_in_s3
from ingest.pytorch.converted_file import CHECKPOINT_FILE
from ingest.s3_object import S3File
from loraserve.aws import Client
from loraserve.doctor.answers import is_refusal, unanswered
from loraserve.doctor.kms_keys import KeyOwner, key_owner
from loraserve.errors import UserError
from loraserve.finding import Finding, problem, unknown
from stacks.config.stage_config import StageConfig


class UnusableSource(UserError):
    """A source that is wrong, or that cannot be read from here."""

    def __init__(self, finding: Finding) -> None:
        """`finding` names the source."""
        super().__init__(finding.found)
        self.finding = finding


class S3Access:
    """The source buckets of a stage."""

    def __init__(self, check: str, config: StageConfig, client: Client) -> None:
        """`check` is the title of the findings. The clients are created before any thread uses them."""
        self.client: Any = client("s3")
        self._check = check
        self._kms = client("kms")
        self._config = config
        self._lock = threading.Lock()
        self._buckets: dict[str, Finding | None] = {}
        self._owners: dict[str, KeyOwner | None] = {}

    def files(self, source: S3Source) -> AdapterFiles:
        """Return the files of an adapter; raises `UnusableSource`, and boto3's errors for an outage."""
        self._check_bucket(source)
        self._head(source, CONFIG_FILE)
        name, head = self._weights_head(source)
        self._check_key(source, head)
        try:
            config, weights = (
                S3File(self.client, source.bucket, source.prefix + file) for file in (CONFIG_FILE, name)
            )
            content = config.read(0, min(config.size, MAX_CONFIG_BYTES + 1))
            # The header's length: it shows whether the content may be decrypted with these credentials.
            weights.read(0, 8)
        except SourceError as error:
            raise self._not_checked(
                source,
                f"{error.problem} with these credentials",
                "allow s3:GetObject on it, and kms:Decrypt on its key, to have it checked: the seeder needs "
                "both",
            ) from error
        return adapter_files(str(source), "", content, (name, weights), sha256=weights.sha256)

    def finding(self, source: S3Source, error: SourceError) -> Finding:
        """Return the finding of files that cannot be used, or no longer be read."""
        if isinstance(error.__cause__, ClientError):
            return self._not_checked(source, error.problem, error.remedy).finding
        return problem(self._check, f"{source}: {error.problem}", error.remedy)

    def _check_bucket(self, source: S3Source) -> None:
        with self._lock:
            if source.bucket not in self._buckets:
                self._buckets[source.bucket] = self._bucket_finding(source.bucket)
            found = self._buckets[source.bucket]
        if found is not None:
            raise UnusableSource(found)

    def _bucket_finding(self, bucket: str) -> Finding | None:
        """Return what is wrong with a bucket; it is asked about once."""
        try:
            self.client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error_code(error) in {"404", "NoSuchBucket"}:
                found = f"there is no bucket {bucket!r}"
                return problem(self._check, found, "correct the source in the manifest")
            if self._config.adapters_locked:
                # The store of another stage gives its objects, and no list.
                return None
            return unanswered(self._check, "s3:ListBucket", error, f"bucket {bucket}")
        except BotoCoreError as error:
            # The same for every bucket: no credentials, no network.
            return unknown(self._check, f"not checked: {error}")
        return None

    def _head(self, source: S3Source, file: str) -> dict[str, Any]:
        try:
            head: dict[str, Any] = self.client.head_object(Bucket=source.bucket, Key=source.prefix + file)
            return head
        except ClientError as error:
            if is_absent(error):
                missing = missing_in_s3(self.client, source)
                raise UnusableSource(
                    problem(self._check, f"{missing.adapter}: {missing.problem}", missing.remedy)
                ) from error
            if is_refusal(error):
                raise self._not_checked(
                    source,
                    "these credentials may not read it (s3:GetObject)",
                    "allow s3:GetObject to these credentials to have it checked; the seeder has its own "
                    "role, which a bucket of another account must allow in its policy",
                ) from error
            raise UnusableSource(unanswered(self._check, "s3:GetObject", error, str(source))) from error

    def _weights_head(self, source: S3Source) -> tuple[str, dict[str, Any]]:
        """Return the name and the metadata of the weights: safetensors, or a checkpoint of PyTorch."""
        try:
            return WEIGHTS_FILE, self._head(source, WEIGHTS_FILE)
        except UnusableSource as unusable:
            if not isinstance(unusable.__cause__, Exception) or not is_absent(unusable.__cause__):
                raise
        return CHECKPOINT_FILE, self._head(source, CHECKPOINT_FILE)

    def _check_key(self, source: S3Source, head: dict[str, Any]) -> None:
        """Refuse objects that the seeder may not decrypt: their key is one that the stage does not name."""
        key = head.get("SSEKMSKeyId")
        if key is None or key in {*self._config.decrypt_keys, self._config.security.key_arn}:
            return
        owner = self._owner(key)
        found = f"{source}: its objects are encrypted with {key}, which decrypt_keys does not name"
        if owner is None:
            raise UnusableSource(
                unknown(self._check, found, f"if it is a customer key, add {key} to decrypt_keys")
            )
        if owner is KeyOwner.CUSTOMER:
            remedy = f"add {key} to decrypt_keys, and let the key's policy allow the account"
            raise UnusableSource(problem(self._check, found, remedy))

    def _owner(self, key: str) -> KeyOwner | None:
        with self._lock:
            if key not in self._owners:
                self._owners[key] = key_owner(self._kms, key)
            return self._owners[key]

    def _not_checked(self, source: S3Source, reason: str, remedy: str = "") -> UnusableSource:
        return UnusableSource(unknown(self._check, f"{source}: not checked: {reason}", remedy))
