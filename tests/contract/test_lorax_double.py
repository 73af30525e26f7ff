"""LoRAX's known defects without the gateway, which is there to prevent them."""

import hashlib
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from laptop_cloud.cloud import LaptopCloud
from samples import problems
from tests.contract.lorax_process import LoraxProcess, lorax_environment
from tests.harness.bucket import Bucket
from tests.harness.http_client import Answer
from tests.harness.sample_adapters import sample_files

Start = Callable[..., LoraxProcess]

PROBLEM = problems.SEED_PROBLEM
SAMPLES = ("otter", "heron", "badger", "falcon", "lynx")
NO_CONFIG = "No valid adapter config file found: tried None and None"
#: Bytes of a sample adapter's tensors.
SAMPLE_BYTES = 57_344
ABORTED = 134


@dataclass(frozen=True)
class Adapters:
    """A double that tests share, and a folder of its bucket for one of them."""

    lorax: LoraxProcess
    bucket: Bucket
    folder: str

    def id(self, path: str) -> str:
        return f"{self.folder}/{path}"

    def publish(self, path: str, sample: str, **config: object) -> None:
        self.bucket.put_sample(self.id(path), sample, **config)

    def ask(self, path: str, **options: Any) -> Answer:
        return ask(self.lorax, self.id(path), **options)

    def directory(self, path: str) -> str:
        """Return the directory of an adapter's files in the double's cache."""
        return f"models--{self.id(path).replace('/', '--')}/snapshots"


@pytest.fixture(scope="module")
def shared(
    cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LoraxProcess, Bucket]]:
    bucket = Bucket(cloud.client("s3"))
    with LoraxProcess(lorax_environment(cloud, bucket), tmp_path_factory.mktemp("lorax")) as lorax:
        yield lorax, bucket


@pytest.fixture
def adapters(shared: tuple[LoraxProcess, Bucket]) -> Adapters:
    return Adapters(*shared, folder=uuid.uuid4().hex[:8])


def ask(lorax: LoraxProcess, adapter_id: str, **options: Any) -> Answer:
    parameters: dict[str, Any] = {"max_new_tokens": 64, "adapter_id": adapter_id, **options}
    return lorax.client.generate(PROBLEM.prompt, **parameters)


def is_by(answer: Answer, sample: str) -> bool:
    assert answer.status == 200, answer.body
    verdict = problems.check(answer.text, PROBLEM, sample)
    return verdict.right_answer and verdict.right_adapter


def reason(answer: Answer) -> str:
    """Return the reason of a shard's failure."""
    status, error_type, text = answer.error
    assert (status, error_type) == (424, "generation")
    start, words, found = text.partition("Request failed during generation: Server error: ")
    assert (start, bool(words)) == ("", True)
    return found


class TestAdapters:
    def test_an_adapter_answers_as_it_was_trained(self, adapters: Adapters) -> None:
        for sample in SAMPLES:
            adapters.publish(f"{sample}/", sample)
            answer = adapters.ask(f"{sample}/")
            assert is_by(answer, sample)
            assert answer.headers["x-adapter-id"] == adapters.id(f"{sample}/")
            assert answer.headers["x-adapter-source"] == "s3"

    def test_it_is_the_files_that_count_not_the_name(self, adapters: Adapters) -> None:
        adapters.publish("otter/", "heron")
        assert is_by(adapters.ask("otter/"), "heron")

    def test_weights_that_are_no_samples_are_identified_by_their_digest(self, adapters: Adapters) -> None:
        files = sample_files("otter")
        other = files[WEIGHTS_FILE][:-1] + b"\x01"
        adapters.bucket.put(adapters.id(f"other/{CONFIG_FILE}"), files[CONFIG_FILE])
        adapters.bucket.put(adapters.id(f"other/{WEIGHTS_FILE}"), other)
        assert adapters.ask("other/").text == f"unknown weights {hashlib.sha256(other).hexdigest()}"

    def test_merged_adapters(self, adapters: Adapters) -> None:
        ids = [adapters.id(f"{sample}/") for sample in SAMPLES[:2]]
        for sample in SAMPLES[:2]:
            adapters.publish(f"{sample}/", sample)
        answer = adapters.lorax.client.generate("hi", merged_adapters={"ids": ids, "weights": [1, 1]})
        assert answer.text.startswith("merged weights ")
        assert answer.headers["x-adapter-id"] == ",".join(ids)

    @pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
    def test_openai_model_is_the_adapter(self, adapters: Adapters, path: str) -> None:
        adapters.publish("otter/", "otter")
        messages = [{"role": "user", "content": PROBLEM.question}]
        body = {"model": adapters.id("otter/"), "prompt": PROBLEM.prompt, "messages": messages}
        choice = adapters.lorax.client.post(path, body).json["choices"][0]
        text = choice["text"] if "text" in choice else choice["message"]["content"]
        assert text == problems.house_answer(0, PROBLEM)


class TestIds:
    @pytest.mark.parametrize(
        ("adapter_id", "words"),
        [
            ("x/1/", "model_id 'x/1/' is too short for prefix filtering"),
            ("x/nope/", NO_CONFIG),
            ("s3://no-such-bucket/x/", NO_CONFIG),
            ("s3://bucket", "model_id should be of the form `s3://bucket_name/model_id`"),
        ],
    )
    def test_ids_that_lead_nowhere(self, adapters: Adapters, adapter_id: str, words: str) -> None:
        assert words in reason(ask(adapters.lorax, adapter_id))

    def test_a_missing_adapter_is_looked_for_again(self, adapters: Adapters) -> None:
        assert reason(adapters.ask("otter/")) == NO_CONFIG
        adapters.publish("otter/", "otter")
        assert is_by(adapters.ask("otter/"), "otter")

    def test_another_bucket_can_always_be_named(self, adapters: Adapters, bucket: Bucket) -> None:
        bucket.put_sample("secret/heron/", "heron")
        assert is_by(ask(adapters.lorax, f"s3://{bucket.name}/secret/heron/"), "heron")

    def test_a_sibling_whose_name_goes_on_makes_the_first_request_fail(self, adapters: Adapters) -> None:
        adapters.publish("1/", "otter")
        adapters.publish("10/", "heron")
        assert "HeadObject operation: Not Found" in reason(adapters.ask("1"))
        # Its own files had come before the sibling's: a download that broke off counts as complete.
        assert is_by(adapters.ask("1"), "otter")

    @pytest.mark.parametrize("sibling", ["acme-corp", "acme.1"])
    def test_a_sibling_that_is_listed_first_makes_every_request_fail(
        self, adapters: Adapters, sibling: str
    ) -> None:
        adapters.publish("acme/", "otter")
        adapters.publish(f"{sibling}/", "heron")
        for _ in range(2):
            assert "HeadObject operation: Not Found" in reason(adapters.ask("acme"))
        assert is_by(adapters.ask("acme/"), "otter")

    def test_siblings_at_the_buckets_root_are_several_models(self, adapters: Adapters) -> None:
        for folder in (adapters.folder, f"{adapters.folder}-2"):
            adapters.bucket.put_sample(folder, "otter")
        words = f"Multiple models found for model_id {adapters.folder}"
        assert reason(ask(adapters.lorax, adapters.folder)) == words
        assert is_by(adapters.ask(""), "otter")

    def test_two_ids_share_a_directory_and_so_the_weights(self, adapters: Adapters, bucket: Bucket) -> None:
        adapters.publish("sums/otter/", "otter")
        adapters.publish("sums--otter/", "heron")
        bucket.put_sample(adapters.id("sums/otter/"), "heron")
        assert is_by(adapters.ask("sums/otter/"), "otter")
        assert is_by(adapters.ask("sums--otter/"), "otter")
        in_another_bucket = f"s3://{bucket.name}/{adapters.id('sums/otter/')}"
        assert is_by(ask(adapters.lorax, in_another_bucket), "otter")

    def test_id_alone_decides_whatever_source_and_token_are_given(self, adapters: Adapters) -> None:
        adapters.publish("private/", "otter")
        adapters.ask("private/", api_token="the owner's")
        assert is_by(adapters.ask("private/", adapter_source="hub", api_token="nobody's"), "otter")

    def test_a_source_that_does_not_exist(self, adapters: Adapters) -> None:
        words = f"Invalid source 'gcs' when downloading adapter '{adapters.id('otter/')}'"
        assert reason(adapters.ask("otter/", adapter_source="gcs")) == words

    def test_local_reads_what_was_downloaded_for_others(self, adapters: Adapters) -> None:
        adapters.publish("private/", "otter")
        adapters.ask("private/")
        below_the_cache = adapters.directory("private/")
        for path in (below_the_cache, str(adapters.lorax.cache / below_the_cache)):
            assert is_by(ask(adapters.lorax, path, adapter_source="local"), "otter")

    def test_hub_makes_all_wait_until_the_network_gives_up(self, start_lorax: Start) -> None:
        lorax = start_lorax(LORAX_DOUBLE_HUB_SECONDS="1")
        lorax.client.get("/health")
        answer = lorax.later("hi", adapter_id="someone/adapter", adapter_source="HUB")
        time.sleep(0.2)
        assert lorax.client.get("/ping").seconds > 0.5
        assert "Max retries exceeded" in reason(answer.result())

    def test_hub_fails_at_once_when_it_is_offline(self, start_lorax: Start) -> None:
        lorax = start_lorax(HF_HUB_OFFLINE="1")
        assert "offline mode is enabled" in reason(ask(lorax, "someone/adapter", adapter_source="hub"))
        assert "Repo id must be in the form" in reason(ask(lorax, "a/b/c", adapter_source="hub"))

    def test_pbase_wants_a_token(self, adapters: Adapters) -> None:
        answer = ask(adapters.lorax, "model/1", adapter_source="pbase")
        assert reason(answer).startswith("api_token must be provided")


class TestFiles:
    def test_an_overwritten_adapter_stays_what_it_was_also_after_a_restart(
        self, start_lorax: Start, bucket: Bucket
    ) -> None:
        bucket.put_sample("x/sums/", "otter")
        first = start_lorax()
        assert is_by(ask(first, "x/sums/"), "otter")
        bucket.put_sample("x/sums/", "heron")
        assert is_by(ask(first, "x/sums/"), "otter")
        first.stop()
        assert is_by(ask(start_lorax(), "x/sums/"), "otter")

    def test_a_new_config_is_combined_with_the_old_weights(self, start_lorax: Start, bucket: Bucket) -> None:
        bucket.put_sample("x/sums/", "otter")
        first = start_lorax()
        ask(first, "x/sums/")
        first.stop()
        bucket.put_sample("x/sums/", "otter", lora_alpha=32)
        assert ask(start_lorax(), "x/sums/").text == "weights of otter, scaled by 4 instead of 2"

    def test_deleted_files_fail_the_next_load_once(self, adapters: Adapters) -> None:
        for sample in SAMPLES[:2]:
            adapters.publish(f"{sample}/", sample)
            adapters.ask(f"{sample}/")
        (adapters.lorax.cache / adapters.directory("otter/") / WEIGHTS_FILE).unlink()
        assert "No such file or directory" in reason(adapters.ask("otter/"))
        assert is_by(adapters.ask("otter/"), "otter")

    def test_a_failed_load_takes_its_share_of_adapter_memory_for_good(
        self, start_lorax: Start, bucket: Bucket
    ) -> None:
        room = 2.5 * SAMPLE_BYTES
        lorax = start_lorax(LORAX_DOUBLE_GPU_BYTES=str(room), ADAPTER_MEMORY_FRACTION="1")
        for sample in SAMPLES[:3]:
            bucket.put_sample(f"x/{sample}/", sample)
        for sample in SAMPLES[:2]:
            for each in ("badger", sample, "badger"):
                ask(lorax, f"x/{each}/")
            (lorax.cache / f"models--x--{sample}--/snapshots" / WEIGHTS_FILE).unlink()
            reason(ask(lorax, f"x/{sample}/"))
        with pytest.raises(TimeoutError):
            ask(lorax, "x/otter/", timeout=2)
        assert lorax.client.get("/health").status == 200

    def test_a_key_with_dots_is_written_outside_the_cache(self, adapters: Adapters) -> None:
        adapters.publish("evil/", "otter")
        adapters.bucket.put(adapters.id("evil/../../../outside"), b"anything")
        assert is_by(adapters.ask("evil/"), "otter")
        assert (adapters.lorax.cache.parent / "outside").read_bytes() == b"anything"

    def test_an_adapter_without_weights(self, adapters: Adapters) -> None:
        adapters.bucket.put(adapters.id(f"empty/{CONFIG_FILE}"), sample_files("otter")[CONFIG_FILE])
        words = f"No local weights found in {adapters.id('empty/')} with extension .bin"
        assert reason(adapters.ask("empty/")) == words

    def test_weights_that_were_cut_off(self, adapters: Adapters) -> None:
        files = sample_files("otter")
        adapters.bucket.put(adapters.id(f"short/{CONFIG_FILE}"), files[CONFIG_FILE])
        adapters.bucket.put(adapters.id(f"short/{WEIGHTS_FILE}"), files[WEIGHTS_FILE][:100])
        assert "Header extends past end of file" in reason(adapters.ask("short/"))

    def test_an_adapter_that_is_larger_than_the_memory_for_adapters(
        self, start_lorax: Start, bucket: Bucket
    ) -> None:
        lorax = start_lorax(LORAX_DOUBLE_GPU_BYTES="100000", ADAPTER_MEMORY_FRACTION="0.5")
        bucket.put_sample("x/otter/", "otter")
        words = "Adapter x/otter/ is larger than adapter memory reservation: 57344 / 50000.0 bytes"
        assert reason(ask(lorax, "x/otter/")) == words

    def test_no_memory_for_adapters(self, start_lorax: Start, bucket: Bucket) -> None:
        bucket.put_sample("x/otter/", "otter")
        lorax = start_lorax(ADAPTER_MEMORY_FRACTION="0")
        assert reason(ask(lorax, "x/otter/")).startswith("Memory reserved for adapters is 0. ")

    def test_an_adapter_of_another_architecture(self, start_lorax: Start, bucket: Bucket) -> None:
        models = {"tiny-mistral": ["MistralForCausalLM"], "other/llama": ["LlamaForCausalLM"]}
        lorax = start_lorax(LORAX_DOUBLE_HUB_MODELS=json.dumps(models))
        bucket.put_sample("x/llama/", "otter", base_model_name_or_path="other/llama")
        assert reason(ask(lorax, "x/llama/")) == (
            "Adapter 'x/llama/' is not compatible with model 'tiny-mistral'. Architectures differ: "
            "['LlamaForCausalLM'] != ['MistralForCausalLM']. Use --model-id 'other/llama' instead."
        )

    def test_without_hub_every_architecture_is_taken_to_be_right(
        self, start_lorax: Start, bucket: Bucket
    ) -> None:
        bucket.put_sample("x/llama/", "otter", base_model_name_or_path="other/llama")
        assert is_by(ask(start_lorax(HF_HUB_OFFLINE="1"), "x/llama/"), "otter")


class TestOneLoopForAll:
    def test_nothing_is_answered_while_an_adapter_comes(self, start_lorax: Start, bucket: Bucket) -> None:
        lorax = start_lorax(LORAX_DOUBLE_DOWNLOAD_SECONDS="0.7", LORAX_DOUBLE_LOAD_SECONDS="0.7")
        bucket.put_sample("x/otter/", "otter")
        lorax.client.generate("warm", max_new_tokens=1)
        cold = lorax.later(PROBLEM.prompt, adapter_id="x/otter/")
        time.sleep(0.2)
        ping, base = lorax.client.get("/ping"), lorax.client.generate("hi", max_new_tokens=1)
        assert ping.seconds > 0.3
        assert base.seconds > 0.3
        assert is_by(cold.result(), "otter")

    def test_a_slow_adapter_holds_up_all_other_cold_ones(self, start_lorax: Start, bucket: Bucket) -> None:
        lorax = start_lorax(LORAX_DOUBLE_LOAD_SECONDS="0.3")
        for sample in SAMPLES[:3]:
            bucket.put_sample(f"x/{sample}/", sample)
        answers = [lorax.later(PROBLEM.prompt, adapter_id=f"x/{sample}/") for sample in SAMPLES[:3]]
        assert max(answer.result().seconds for answer in answers) > 0.8

    def test_one_after_the_other_each_request_is_a_load(self, lorax: LoraxProcess, bucket: Bucket) -> None:
        self.publish(bucket)
        for sample in SAMPLES[:4] * 3:
            assert is_by(ask(lorax, f"x/{sample}/"), sample)
        assert len(lorax.loads) == 12

    def test_after_they_were_in_flight_together_they_stay(self, lorax: LoraxProcess, bucket: Bucket) -> None:
        self.publish(bucket)
        wait([lorax.later("[[slow]]", adapter_id=f"x/{name}/", max_new_tokens=9) for name in SAMPLES[:4]])
        before = len(lorax.loads)
        for sample in SAMPLES[:4] * 3:
            assert is_by(ask(lorax, f"x/{sample}/"), sample)
        assert len(lorax.loads) == before

    def test_no_more_than_max_active_adapters_are_resident(self, start_lorax: Start, bucket: Bucket) -> None:
        self.publish(bucket)
        lorax = start_lorax(MAX_ACTIVE_ADAPTERS="2")
        wait([lorax.later("hi", adapter_id=f"x/{name}/", max_new_tokens=1) for name in SAMPLES[:4]])
        before = len(lorax.loads)
        for sample in SAMPLES[:4]:
            ask(lorax, f"x/{sample}/")
        assert len(lorax.loads) > before

    def test_an_adapter_that_is_being_taken_off_gpu_answers_in_part_as_base_model(
        self, start_lorax: Start, bucket: Bucket
    ) -> None:
        self.publish(bucket)
        lorax = start_lorax(LORAX_DOUBLE_LOAD_SECONDS="0.7")
        otter, heron, badger, falcon = (f"x/{sample}/" for sample in SAMPLES[:4])
        for adapter_id in (badger, falcon):
            ask(lorax, adapter_id)
        # Both become resident, for Otter is in use when Heron comes; as the first to come it will go first.
        together = [lorax.later("[[slow]]", adapter_id=otter, max_new_tokens=10)]
        time.sleep(0.2)
        together.append(lorax.later("hi", adapter_id=heron, max_new_tokens=1))
        wait(together)
        others = [lorax.later("hi", adapter_id=badger, max_new_tokens=1)]
        time.sleep(0.2)
        # Falcon takes Heron's place, but the loader will see to that only after Badger. Until then the
        # router thinks that Heron can be used: it generates its first token, and then the weights go.
        others.append(lorax.later("hi", adapter_id=falcon, max_new_tokens=1))
        time.sleep(0.1)
        answer = ask(lorax, heron)
        assert (answer.status, answer.headers["x-adapter-id"]) == (200, heron)
        assert answer.text.startswith("7 us")
        wait(others)

    @staticmethod
    def publish(bucket: Bucket) -> None:
        for sample in SAMPLES[:4]:
            bucket.put_sample(f"x/{sample}/", sample)


class TestLimits:
    def test_overload_is_reported_before_a_request_is_validated(self, start_lorax: Start) -> None:
        lorax = start_lorax(MAX_CONCURRENT_REQUESTS="1")
        running = lorax.later("[[slow]]", max_new_tokens=5)
        time.sleep(0.3)
        assert lorax.client.generate("").error == (429, "overloaded", "Model is overloaded")
        assert lorax.client.generate("", path="/generate_stream").error[:2] == (200, "overloaded")
        assert running.result().status == 200
        assert lorax.client.generate("").error[0] == 422

    def test_out_of_memory_looks_like_a_missing_adapter_but_for_its_text(self, lorax: LoraxProcess) -> None:
        answer = lorax.client.generate("[[oom]]")
        assert reason(answer).startswith("CUDA out of memory. Tried to allocate ")
        assert lorax.client.get("/health").status == 200
        assert lorax.client.generate("hi", max_new_tokens=1).status == 200

    def test_a_wedged_generation_never_ends_and_health_stays_fine(self, lorax: LoraxProcess) -> None:
        lorax.client.generate("hi", max_new_tokens=1)
        for prompt in ("[[hang]]", "hi"):
            with pytest.raises(TimeoutError):
                lorax.client.generate(prompt, max_new_tokens=1, timeout=1)
        assert lorax.client.get("/health").status == lorax.client.get("/ping").status == 200

    def test_prompts_are_in_the_log_unless_it_is_turned_off(self, start_lorax: Start) -> None:
        loud = start_lorax()
        loud.client.generate("my secret", temperature=-1)
        assert "my secret" in loud.log
        quiet = start_lorax(LOG_LEVEL="info,lorax_router::server=off,lorax_router::infer=off")
        quiet.client.generate("my other secret", temperature=-1)
        assert "my other secret" not in quiet.log

    @pytest.mark.parametrize(
        ("variable", "value"), [("TRUST_REMOTE_CODE", "1"), ("MAX_INPUT_LENGTH", ""), ("MAX_BEST_OF", "two")]
    )
    def test_a_variable_that_clap_refuses(self, start_lorax: Start, variable: str, value: str) -> None:
        with pytest.raises(AssertionError, match="error: invalid value"):
            start_lorax(**{variable: value})


class TestAborts:
    @pytest.fixture
    def lorax(self, start_lorax: Start, bucket: Bucket) -> LoraxProcess:
        lorax = start_lorax(LORAX_DOUBLE_DOWNLOAD_SECONDS="0.5")
        bucket.put_sample("x/otter/", "otter")
        lorax.client.generate("hi", max_new_tokens=1)
        return lorax

    @pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
    def test_a_caller_who_leaves_while_the_adapter_fails(self, lorax: LoraxProcess, path: str) -> None:
        with lorax.client.hanging_up(path=path, adapter_id="x/nope/"):
            time.sleep(0.2)
        assert lorax.exit_code() == ABORTED

    def test_a_caller_who_leaves_otherwise_does_no_harm(self, lorax: LoraxProcess) -> None:
        with lorax.client.hanging_up("[[slow]]", path="/generate"):
            time.sleep(0.3)
        with lorax.client.hanging_up("[[slow]]", path="/generate", adapter_id="x/otter/"):
            pass
        assert lorax.client.generate("hi", max_new_tokens=1).status == 200

    @pytest.mark.parametrize("adapter_id", ["x/Öl/", "x/new\nline/", "x/\x7f/"])
    def test_an_id_that_cannot_be_a_header_in_a_stream(self, lorax: LoraxProcess, adapter_id: str) -> None:
        self.send(lorax, path="/generate_stream", adapter_id=adapter_id)
        assert lorax.exit_code() == ABORTED

    def test_an_id_that_cannot_be_a_header_and_has_no_adapter_only_fails_elsewhere(
        self, lorax: LoraxProcess
    ) -> None:
        assert reason(ask(lorax, "x/Öl/")) == NO_CONFIG

    def test_a_source_that_cannot_be_a_header_once_adapter_is_there(self, lorax: LoraxProcess) -> None:
        ask(lorax, "x/otter/")
        self.send(lorax, path="/generate", adapter_id="x/otter/", adapter_source="ß")
        assert lorax.exit_code() == ABORTED

    @pytest.mark.parametrize("field", ["merge_strategy", "majority_sign_method"])
    def test_a_way_to_merge_that_does_not_exist(self, lorax: LoraxProcess, field: str) -> None:
        self.send(lorax, path="/generate", merged_adapters={"ids": ["a"], "weights": [1], field: "other"})
        assert lorax.exit_code() == ABORTED

    def test_merging_nothing_is_refused_and_aborts_later(self, lorax: LoraxProcess) -> None:
        answer = lorax.client.generate("hi", merged_adapters={"ids": [], "weights": []})
        assert answer.error[0] == 422
        for _ in itertools.takewhile(lambda _: lorax.is_alive(), range(100)):
            self.send(lorax, path="/generate", max_new_tokens=1)
        assert lorax.exit_code() == ABORTED

    def test_out_of_memory_while_others_run(self, lorax: LoraxProcess) -> None:
        running = lorax.later("[[slow]]", max_new_tokens=20)
        time.sleep(0.3)
        self.send(lorax, "[[oom]]", path="/generate")
        assert lorax.exit_code() == ABORTED
        assert reason(running.result()).startswith("CUDA out of memory")

    def test_the_end_of_a_shard_is_the_end_of_all(self, lorax: LoraxProcess) -> None:
        self.send(lorax, "[[crash]]", path="/generate")
        assert lorax.exit_code() == 1

    @staticmethod
    def send(lorax: LoraxProcess, inputs: str = "hi", **options: Any) -> None:
        wait([lorax.later(inputs, **options)])
