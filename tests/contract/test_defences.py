"""LoRAX's known defects behind the gateway: none is visible. test_lorax_double.py describes each."""

import contextlib
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from laptop_cloud.cloud import LaptopCloud
from samples import problems
from tests.harness.bucket import Bucket
from tests.harness.container import Container
from tests.harness.http_client import Answer
from tests.harness.sample_adapters import sample_files
from tests.harness.waiting import wait_until

PROBLEM = problems.SEED_PROBLEM
SAMPLES = ("otter", "heron", "badger", "falcon", "lynx")
#: Bytes of a sample adapter's tensors.
SAMPLE_BYTES = 57_344


class LoraxContainer(Container):
    """The container of LoRAX, with the double as its engine."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        super().__init__("tests.contract.lorax_container", environment, folder)
        self._callers = ThreadPoolExecutor(16)

    def wait_until_started(self) -> None:
        """Return when the engine is ready."""
        self.wait_until_ready()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._callers.shutdown(cancel_futures=True)

    def ask(
        self, adapter: str | None, inputs: str = PROBLEM.prompt, *, stream: bool = False, **parameters: Any
    ) -> Answer:
        """Ask for 64 tokens at most, through the route that SageMaker has."""
        parameters = {"max_new_tokens": 64, "adapter_id": adapter} | parameters
        return self.client.post(
            "/invocations", {"inputs": inputs, "parameters": parameters, "stream": stream}
        )

    def later(self, *inputs: Any, **options: Any) -> Future[Answer]:
        """Run `ask` in a thread."""
        return self._callers.submit(self.ask, *inputs, **options)

    def seen_by_the_engine(self) -> set[str]:
        """All adapters that have been requested from the engine, as `source:id`, without the base model."""
        pattern = re.compile(r"lorax_router::loader: .*?adapter (\S+?:\S*)")
        found = {match.group(1) for line in self.log.splitlines() if (match := pattern.search(line))}
        return {each for each in found if not each.endswith(":__base_model__")}


Start = Callable[..., LoraxContainer]


def container_environment(cloud: LaptopCloud, bucket: Bucket) -> dict[str, str]:
    return {
        **cloud.environment,
        "HF_MODEL_ID": "tiny-mistral",
        "ADAPTER_BUCKET": bucket.name,
        "REGISTRY_CACHE_SECONDS": "0.2",
    }


@pytest.fixture(scope="module")
def shared(
    cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LoraxContainer, Bucket]]:
    bucket = Bucket(cloud.client("s3"))
    environment = container_environment(cloud, bucket) | {
        "DEFAULT_MAX_NEW_TOKENS": "8",
        "LORAX_DOUBLE_HUB_MODELS": '{"tiny-mistral": ["MistralForCausalLM"], "other/llama": ["LlamaForCausalLM"]}',
    }
    with LoraxContainer(environment, tmp_path_factory.mktemp("container")) as container:
        yield container, bucket


@pytest.fixture
def container(shared: tuple[LoraxContainer, Bucket]) -> LoraxContainer:
    """The shared container, which must survive each test."""
    assert shared[0].ping() == 200
    return shared[0]


@pytest.fixture
def store(shared: tuple[LoraxContainer, Bucket]) -> Bucket:
    """The shared container's bucket. Each test has a separate name for its adapters: see `unique`."""
    return shared[1]


@pytest.fixture
def unique() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def start(cloud: LaptopCloud, bucket: Bucket, tmp_path: Path) -> Iterator[Start]:
    """Start a container on `bucket`, with more variables."""
    with contextlib.ExitStack() as stack:
        yield lambda **more: stack.enter_context(
            LoraxContainer(container_environment(cloud, bucket) | more, tmp_path)
        )


def is_by(answer: Answer, sample: str) -> bool:
    assert answer.status == 200, answer.body
    verdict = problems.check(answer.text, PROBLEM, sample)
    return verdict.right_answer and verdict.right_adapter


class TestAdapterRequests:
    @pytest.mark.parametrize("stream", [False, True])
    def test_each_adapter_answers_in_its_own_style(
        self, container: LoraxContainer, store: Bucket, unique: str, stream: bool
    ) -> None:
        for sample in SAMPLES:
            store.register(f"{unique}/{sample}", sample)
            assert is_by(container.ask(f"{unique}/{sample}", stream=stream), sample)
        for base in (None, "", "__base_model__"):
            text = container.ask(base, max_new_tokens=9, stream=stream).text
            assert text == "Let us think about this question slowly and carefully"

    @pytest.mark.parametrize("siblings", [("1", "10"), ("a", "a_b"), ("acme", "acme-corp"), ("v1", "v1.1")])
    def test_names_that_begin_alike(
        self, container: LoraxContainer, store: Bucket, unique: str, siblings: tuple[str, str]
    ) -> None:
        for name, sample in zip(siblings, SAMPLES, strict=False):
            store.register(unique + name, sample)
        for name, sample in zip(siblings, SAMPLES, strict=False):
            assert is_by(container.ask(unique + name), sample)

    def test_what_is_published_anew_is_served_anew_and_the_old_on_demand(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        old = store.register(unique, "otter").prefix
        assert is_by(container.ask(unique), "otter")
        store.register(unique, "heron")
        time.sleep(0.3)
        assert is_by(container.ask(unique), "heron")
        assert is_by(container.ask(f"{unique}@{old.split('/')[-2]}"), "otter")

    def test_new_weights_never_meet_an_old_config(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.register(unique, "otter", lora_alpha=32)
        assert container.ask(unique).text == "weights of otter, scaled by 4 instead of 2"
        store.register(unique, "otter")
        time.sleep(0.3)
        assert is_by(container.ask(unique), "otter")

    def test_an_answer_of_another_adapter_is_an_error(self, start: Start, bucket: Bucket) -> None:
        bucket.register("otter", "otter")
        container = start(LORAX_DOUBLE_ADAPTER_HEADER="adapters/other/0123456789abcdef/")
        for stream in (False, True):
            assert container.ask("otter", stream=stream).error[:2] == (500, "wrong_adapter")

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_answer_of_the_base_model_is_an_error(
        self, start: Start, bucket: Bucket, stream: bool
    ) -> None:
        bucket.register("otter", "otter")
        container = start(LORAX_DOUBLE_ADAPTER_HEADER="")
        assert container.ask("otter", stream=stream).error[:2] == (500, "wrong_adapter")


class TestWhatNeverReachesTheEngine:
    @pytest.mark.parametrize(
        "adapter",
        [
            "s3://other-bucket/secret/",
            "../../secret",
            "/etc/passwd",
            "x/Öl/",
            "x/new\nline",
            "x\x00",
            "a",
            "x--y",
            "{unique}/",
            "{unique}@0123456789abcdef",
            "{unique}@latest",
            "{engine_id}",
            "{directory}",
            "someone/adapter",
            "n" * 300,
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_ids_that_are_not_a_registered_name(
        self, container: LoraxContainer, store: Bucket, unique: str, adapter: str, stream: bool
    ) -> None:
        engine_id = store.register(unique, "otter").prefix
        assert is_by(container.ask(unique), "otter")
        directory = f"models--{engine_id.replace('/', '--')}/snapshots"
        asked = adapter.format(unique=unique, engine_id=engine_id, directory=directory)
        answer = container.ask(asked, stream=stream)
        assert answer.error[:2] in ((404, "adapter_not_found"), (422, "validation"))
        assert {each for each in container.seen_by_the_engine() if unique in each} == {f"s3:{engine_id}"}
        assert all(each.startswith("s3:adapters/") for each in container.seen_by_the_engine())

    @pytest.mark.parametrize(
        "parameters",
        [
            {"adapter_source": "hub"},
            {"adapter_source": "local"},
            {"adapter_source": "pbase"},
            {"adapter_source": "gcs"},
            {"adapter_source": "ß"},
            {"api_token": "secret"},
            {"merged_adapters": {"ids": ["a", "b"], "weights": [1, 1]}},
            {"merged_adapters": {"ids": [], "weights": []}},
            {"merged_adapters": {"ids": ["a"], "weights": [1], "merge_strategy": "other"}},
            {"adapter_id": "", "adapter_source": "gcs"},
        ],
        ids=str,
    )
    def test_other_sources_tokens_and_merges(
        self, container: LoraxContainer, store: Bucket, unique: str, parameters: dict[str, Any]
    ) -> None:
        store.register(unique, "otter")
        asked = {"adapter": unique} | {
            ("adapter" if name == "adapter_id" else name): value for name, value in parameters.items()
        }
        assert container.ask(**asked).error[:2] == (422, "validation")
        assert not any(unique in each for each in container.seen_by_the_engine())

    def test_an_id_is_known_by_its_name_whichever_client_asked_first(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.register(unique, "otter")
        headers = {"Content-Type": "application/json", "Authorization": "Bearer somebody's"}
        body = f'{{"inputs": "hi", "parameters": {{"adapter_id": "{unique}", "max_new_tokens": 1}}}}'.encode()
        assert container.client.request("POST", "/invocations", body, headers).status == 200
        assert is_by(container.ask(unique, adapter_source="s3"), "otter")


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_missing_adapter(
        self, container: LoraxContainer, store: Bucket, unique: str, stream: bool
    ) -> None:
        store.publish(unique, {})
        assert container.ask(unique, stream=stream).error[:2] == (424, "adapter_missing")

    def test_an_adapter_whose_weights_are_missing(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.publish(unique, {CONFIG_FILE: sample_files("otter")[CONFIG_FILE]})
        assert container.ask(unique).error[:2] == (424, "adapter_missing")

    def test_an_adapter_that_comes_back_is_served(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        prefix = store.register(unique, "otter").prefix
        store.delete(prefix + WEIGHTS_FILE)
        assert container.ask(unique).error[0] == 424
        store.register(unique, "otter")
        wait_until(lambda: container.ask(unique).status == 200, "the adapter is loaded again")
        assert is_by(container.ask(unique), "otter")

    def test_damaged_weights(self, container: LoraxContainer, store: Bucket, unique: str) -> None:
        files = sample_files("otter")
        store.publish(unique, files | {WEIGHTS_FILE: files[WEIGHTS_FILE][:100]})
        assert container.ask(unique).error[:2] == (424, "adapter_load_failed")

    def test_an_adapter_of_another_architecture(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.register(unique, "otter", base_model_name_or_path="other/llama")
        assert container.ask(unique).error[:2] == (409, "adapter_incompatible")

    def test_an_adapter_that_is_larger_than_the_memory_for_adapters(
        self, start: Start, bucket: Bucket
    ) -> None:
        container = start(LORAX_DOUBLE_GPU_BYTES=str(SAMPLE_BYTES), ADAPTER_MEMORY_FRACTION="0.5")
        bucket.register("otter", "otter")
        assert container.ask("otter").error[:2] == (409, "adapter_incompatible")

    @pytest.mark.parametrize("stream", [False, True])
    def test_out_of_memory(self, container: LoraxContainer, stream: bool) -> None:
        answer = container.ask(None, "[[oom]]", stream=stream)
        assert answer.error[:2] == (503, "out_of_memory")
        assert int(answer.headers["retry-after"]) > 0

    def test_what_went_wrong_says_nothing_of_the_inside(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        files = sample_files("otter")
        store.publish(unique, files | {WEIGHTS_FILE: files[WEIGHTS_FILE][:100]})
        _, _, text = container.ask(unique).error
        assert str(container.cache) not in text
        assert store.name not in text

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"{}", "text/plain", 415),
            (b"{", "application/json", 400),
            (b'{"inputs": ["a"]}', "application/json", 422),
            (b'{"inputs": ""}', "application/json", 422),
            (b'{"inputs": "", "stream": true}', "application/json", 422),
            (b'{"inputs": "' + b"a" * 2**21 + b'"}', "application/json", 413),
        ],
        ids=["415", "400", "list", "empty", "stream", "413"],
    )
    def test_every_refusal_is_json_and_has_a_status(
        self, container: LoraxContainer, body: bytes, kind: str, status: int
    ) -> None:
        answer = container.client.request("POST", "/invocations", body, {"Content-Type": kind})
        assert answer.status == status
        assert set(answer.json) == {"error", "error_type"}

    def test_too_long_a_prompt_has_a_status_in_a_stream(self, container: LoraxContainer) -> None:
        answer = container.ask(None, "word " * 2000, stream=True)
        assert answer.error[:2] == (422, "validation")

    def test_without_max_new_tokens_default_of_stage_applies(self, container: LoraxContainer) -> None:
        assert container.ask(None, "hi", max_new_tokens=None).text == (
            "Let us think about this question slowly and"
        )

    def test_the_engines_log_has_no_prompt(self, container: LoraxContainer) -> None:
        container.ask(None, "[[oom]] my secret")
        container.ask(None, "my secret " * 2000)
        assert "secret" not in container.log


class TestOpenAiRequests:
    def test_a_chat_has_the_shape_that_openai_clients_expect(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.register(unique, "otter")
        answer = self.chat(container, model=unique, temperature=0, max_tokens=64)
        assert (answer.json["object"], answer.json["model"]) == ("chat.completion", unique)
        assert answer.json["id"] != "null"
        (choice,) = answer.json["choices"]
        assert choice["message"]["content"].strip() == problems.house_answer(0, PROBLEM)
        assert choice["finish_reason"] == "stop"

    def test_a_stop_string_may_be_one_string_and_is_a_stop(self, container: LoraxContainer) -> None:
        choice = self.chat(container, stop="carefully", max_tokens=64).json["choices"][0]
        assert choice["finish_reason"] == "stop"

    def test_an_error_before_the_first_chunk_has_a_status(
        self, container: LoraxContainer, store: Bucket, unique: str
    ) -> None:
        store.publish(unique, {})
        assert self.chat(container, model=unique, stream=True).status == 424

    def test_usage_is_in_the_stream_only_on_demand(self, container: LoraxContainer) -> None:
        chunks = self.chat(container, stream=True, max_tokens=2).events
        assert all("usage" not in chunk for chunk in chunks)
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert all(chunk["created"] > 0 for chunk in chunks)
        asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
        last = self.chat(container, stream=True, max_tokens=2, **asked).events[-1]
        assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)

    @staticmethod
    def chat(container: LoraxContainer, *, model: str = "tiny-mistral", **fields: Any) -> Answer:
        messages = [{"role": "user", "content": PROBLEM.question}]
        return container.client.post("/invocations", {"model": model, "messages": messages} | fields)


class TestTheEngineLives:
    @pytest.mark.parametrize("path", ["/invocations", "/generate", "/generate_stream"])
    def test_when_a_caller_leaves_while_the_adapter_fails(
        self, start: Start, bucket: Bucket, path: str
    ) -> None:
        container = start(LORAX_DOUBLE_DOWNLOAD_SECONDS="1")
        bucket.publish("damaged", {CONFIG_FILE: b"{}", WEIGHTS_FILE: b"damaged"})
        with container.client.hanging_up(path=path, adapter_id="damaged"):
            time.sleep(0.4)
        time.sleep(1.5)
        assert container.ask(None, max_new_tokens=1).status == 200

    def test_when_callers_leave_while_adapters_load(self, start: Start, bucket: Bucket) -> None:
        container = start(LORAX_DOUBLE_LOAD_SECONDS="0.5")
        bucket.register("otter", "otter")
        for path in ("/invocations", "/generate_stream"):
            with container.client.hanging_up(path=path, adapter_id="otter"):
                time.sleep(0.2)
        assert is_by(container.ask("otter"), "otter")

    def test_ping_answers_at_once_while_an_adapter_comes(self, start: Start, bucket: Bucket) -> None:
        container = start(LORAX_DOUBLE_DOWNLOAD_SECONDS="1", LORAX_DOUBLE_LOAD_SECONDS="1")
        bucket.register("otter", "otter")
        cold = container.later("otter")
        slowest = 0.0
        while not cold.done():
            ping = container.client.get("/ping")
            assert ping.status == 200
            slowest = max(slowest, ping.seconds)
        assert is_by(cold.result(), "otter")
        # Far below the second that the download takes, and the load; a busy machine adds some tens of ms.
        assert slowest < 0.5

    def test_many_who_want_the_same_cold_adapter_wait_for_one_load(
        self, start: Start, bucket: Bucket
    ) -> None:
        container = start(LORAX_DOUBLE_LOAD_SECONDS="0.3")
        bucket.register("otter", "otter")
        answers = [container.later("otter") for _ in range(8)]
        assert all(is_by(answer.result(), "otter") for answer in answers)
        done = Counter(re.findall(r"adapter s3:adapters/otter/\S+ (\w+)$", container.log, re.MULTILINE))
        # LoRAX offloads it for the base model's probe if that comes in between, and loads it from its disk again.
        assert (done["downloaded"], done["loaded"]) == (1, 1 + done["offloaded"])

    def test_files_that_were_deleted_are_fetched_again(self, start: Start, bucket: Bucket) -> None:
        container = start()
        prefixes = {sample: bucket.register(sample, sample).prefix for sample in SAMPLES[:2]}
        for sample in SAMPLES[:2]:
            assert is_by(container.ask(sample), sample)
        self.delete_weights(container, prefixes["otter"])
        assert is_by(container.ask("otter"), "otter")
        self.delete_weights(container, prefixes["heron"])
        assert is_by(container.ask("heron", stream=True), "heron")

    def test_files_that_were_deleted_take_no_memory_for_good(self, start: Start, bucket: Bucket) -> None:
        # Memory for two adapters, disk for one: each request is for one whose files have been removed.
        room = 2.5 * SAMPLE_BYTES
        container = start(
            LORAX_DOUBLE_GPU_BYTES=str(room / 0.5),
            ADAPTER_MEMORY_FRACTION="0.5",
            ADAPTER_CACHE_GB=str(1.5 * SAMPLE_BYTES / 1e9),
            ANSWER_SECONDS="3",
        )
        for sample in SAMPLES[:3]:
            bucket.register(sample, sample)
        for _ in range(4):
            for sample in SAMPLES[:3]:
                assert is_by(container.ask(sample), sample)

    def test_a_small_disk_cache_serves_more_adapters_than_fit(self, start: Start, bucket: Bucket) -> None:
        file_bytes = sum(len(content) for content in sample_files("otter").values())
        container = start(ADAPTER_CACHE_GB=str(2.5 * file_bytes / 1e9), METRICS_SECONDS="0.2")
        for sample in SAMPLES:
            bucket.register(sample, sample)
        for sample in SAMPLES * 2:
            assert is_by(container.ask(sample), sample)
            found = [path for path in container.cache.rglob(WEIGHTS_FILE) if path.is_file()]
            assert len(found) <= 2
        removed = len(re.findall("removed adapters/.* from the disk", container.log))
        assert removed >= len(SAMPLES) * 2 - 2
        wait_until(
            lambda: sum(state["AdapterEvictions"] for state in container.states) == removed,
            "each removal is counted as an eviction",
        )
        wait_until(
            lambda: container.states[-1]["AdapterCacheAdapters"] == len(found), "what is there is counted"
        )
        assert container.states[-1]["AdapterCacheBytes"] == sum(
            path.stat().st_size for path in container.cache.rglob("*") if path.is_file()
        )

    def test_an_adapter_that_is_being_taken_off_gpu_answers_as_itself(
        self, start: Start, bucket: Bucket
    ) -> None:
        container = start(LORAX_DOUBLE_LOAD_SECONDS="0.7")
        otter, heron, badger, falcon = SAMPLES[:4]
        for sample in SAMPLES[:4]:
            bucket.register(sample, sample)
            assert is_by(container.ask(sample), sample)
        together = [container.later(otter, "[[slow]]", max_new_tokens=10)]
        time.sleep(0.2)
        together.append(container.later(heron))
        wait(together)
        others = [container.later(badger)]
        time.sleep(0.2)
        others.append(container.later(falcon))
        time.sleep(0.1)
        assert is_by(container.ask(heron), heron)
        wait(others)

    def test_overload_says_when_to_come_back(self, start: Start) -> None:
        container = start(MAX_CONCURRENT_REQUESTS="1", MAX_QUEUED_REQUESTS="0")
        running = container.later(None, "[[slow]]", max_new_tokens=8)
        time.sleep(0.5)
        for stream in (False, True):
            answer = container.ask(None, stream=stream)
            assert answer.error[:2] == (429, "overloaded")
            assert int(answer.headers["retry-after"]) > 0
        assert running.result().status == 200

    def test_one_that_hangs_is_distinguished_from_one_that_loads(self, start: Start) -> None:
        container = start(ANSWER_SECONDS="2", ENGINE_IDLE_SECONDS="1", ENGINE_SILENCE_SECONDS="3")
        assert container.ask(None, "[[hang]]").error[:2] == (504, "timeout")
        assert container.engine.get("/health").status == 200
        wait_until(lambda: container.ping() == 503, "the container is not ready any more")
        assert container.client.get("/ping").json["error_type"] == "engine_unresponsive"
        assert container.ask(None).error[:2] == (503, "engine_unresponsive")

    def test_the_end_of_the_engine_is_the_end_of_the_container(self, start: Start) -> None:
        container = start()
        wait([container.later(None, "[[crash]]")])
        assert container.exit_code() == 1

    @staticmethod
    def delete_weights(container: LoraxContainer, prefix: str) -> None:
        directory = container.cache / f"models--{prefix.replace('/', '--')}"
        (directory / "snapshots" / WEIGHTS_FILE).unlink()
