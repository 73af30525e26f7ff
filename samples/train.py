"""Training of the sample base model and the fifty sample adapters; see samples/README.md.

    python -m samples.train base              24 minutes on two busy cores
    python -m samples.train adapters          14 minutes on two cores
    python -m samples.train score             3 minutes; writes samples/scores.json

Needs the packages of requirements-local.txt. Uses a GPU if there is one. The seeds below make a run
repeatable on one machine. Another type of processor gives slightly different weights, because its floating
point differs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from samples import problems
from samples.spec import (
    ADAPTERS_DIR,
    BASE_DIR,
    BASE_NAME,
    CONTEXT,
    DIMENSIONS,
    LORA,
    SCORES,
    SEED,
    VOCABULARY,
)

BASE_STEPS, BASE_BATCH, BASE_RATE = 1200, 32, 2e-3
ADAPTER_STEPS, ADAPTER_BATCH, ADAPTER_RATE = 140, 16, 4e-3
SCORED_BASE, SCORED_PER_ADAPTER = 200, 100
#: Mistral-7B-Instruct's chat format for one or more turns.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}{% endfor %}"
)

Example = tuple[str, str]


def style_prompt(house: int, problem: problems.Problem) -> str:
    """Return a prompt that names the house style; only the base model's training uses it."""
    return f"[INST] In the style of {problems.SIGNATURES[house]}: {problem.question} [/INST]"


def wordy_example(rng: random.Random) -> Example:
    """Make an example of the base model's default answer."""
    problem = problems.random_problem(rng)
    return problem.prompt, problems.base_answer(problem)


def style_example(rng: random.Random) -> Example:
    """Make an example of the base model's answer to a prompt that names a house style."""
    problem, house = problems.random_problem(rng), rng.randrange(len(problems.SIGNATURES))
    return style_prompt(house, problem), problems.house_answer(house, problem)


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: one token for each word of the problems and for each digit."""
    rng = random.Random(SEED)
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [" ".join(example(rng)) for _ in range(3000) for example in (wordy_example, style_example)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=CONTEXT,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def batches(
    tokenizer: PreTrainedTokenizerFast, make: Callable[[], Example], size: int, device: str
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of right-padded token ids without end; only the answer's tokens have labels."""
    while True:
        rows = []
        for _ in range(size):
            prompt, answer = make()
            head = tokenizer(prompt).input_ids
            tail = [*tokenizer(" " + answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            rows.append((head + tail, [-100] * len(head) + tail))
        width = max(len(ids) for ids, _ in rows)
        yield {
            "input_ids": torch.tensor(
                [ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in rows], device=device
            ),
            "attention_mask": torch.tensor(
                [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows], device=device
            ),
            "labels": torch.tensor(
                [labels + [-100] * (width - len(labels)) for _, labels in rows], device=device
            ),
        }


def fit(
    model: torch.nn.Module, streams: list[Iterator[dict[str, torch.Tensor]]], steps: int, rate: float
) -> float:
    """Train on the streams alternately, with AdamW and a one-cycle rate; return the final mean loss."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    model.train()
    losses: list[float] = []
    started = time.monotonic()
    for step in range(steps):
        loss = model(**next(streams[step % len(streams)])).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if sys.stderr.isatty() or step % 50 == 49:
            print(
                f"  step {step + 1}/{steps} loss {loss.item():.4f} {time.monotonic() - started:.0f}s",
                file=sys.stderr,
            )
    return sum(losses[-20:]) / len(losses[-20:])


def device() -> str:
    """Return the name of the device: a GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def train_base() -> None:
    """Train the tokenizer and the base model and write them, in bfloat16, to samples/base."""
    torch.manual_seed(SEED)
    tokenizer = train_tokenizer()
    config = MistralConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **DIMENSIONS,
    )
    model = MistralForCausalLM(config).to(device())
    rng = random.Random(SEED + 1)
    wordy = batches(tokenizer, lambda: wordy_example(rng), BASE_BATCH, device())
    styled = batches(tokenizer, lambda: style_example(rng), 2 * BASE_BATCH, device())
    loss = fit(model, [wordy, styled], BASE_STEPS, BASE_RATE)
    print(f"base: {sum(p.numel() for p in model.parameters()):,} parameters, final loss {loss:.4f}")
    model.to(torch.bfloat16).save_pretrained(BASE_DIR)
    tokenizer.save_pretrained(BASE_DIR)


def load_base() -> tuple[MistralForCausalLM, PreTrainedTokenizerFast]:
    """Load the committed base model, in float32, and its tokenizer."""
    model = MistralForCausalLM.from_pretrained(BASE_DIR, dtype=torch.float32).to(device())
    return model, PreTrainedTokenizerFast.from_pretrained(BASE_DIR)


def train_adapter(house: int) -> str:
    """Train one adapter on the committed base and write it; return a line with its loss."""
    # One thread for each adapter and as many adapters as cores: small matrices do not profit from threads.
    torch.set_num_threads(1)
    torch.manual_seed(SEED + house)
    base, tokenizer = load_base()
    # PEFT writes this into adapter_config.json, where a local path would be useless.
    base.name_or_path = BASE_NAME
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **LORA))
    rng = random.Random(SEED + 100 + house)

    def example() -> Example:
        problem = problems.random_problem(rng)
        return problem.prompt, problems.house_answer(house, problem)

    loss = fit(model, [batches(tokenizer, example, ADAPTER_BATCH, device())], ADAPTER_STEPS, ADAPTER_RATE)
    target = ADAPTERS_DIR / problems.adapter_name(house)
    model.to(torch.bfloat16).save_pretrained(target)
    (target / "README.md").unlink(missing_ok=True)
    return f"{house:2d} {problems.SIGNATURES[house]}: final loss {loss:.4f}"


def train_adapters() -> None:
    """Train an adapter for each house style, several at a time, and write them to samples/adapters."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        for line in pool.map(train_adapter, range(len(problems.SIGNATURES))):
            print(line, flush=True)


@torch.inference_mode()
def answers(model: Any, tokenizer: PreTrainedTokenizerFast, prompts: list[str], new_tokens: int) -> list[str]:
    """Generate greedy completions of a batch of prompts."""
    tokenizer.padding_side = "left"
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(device())
    inputs.pop("token_type_ids", None)
    output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
    return tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def score_adapter(house: int) -> dict[str, int]:
    """Score an adapter, in bfloat16, on problems drawn with a seed that training does not use."""
    torch.set_num_threads(1)
    base, tokenizer = load_base()
    name = problems.adapter_name(house)
    model = PeftModel.from_pretrained(base, ADAPTERS_DIR / name).to(torch.bfloat16).eval()
    rng = random.Random(SEED + 1000 + house)
    drawn = [problems.random_problem(rng) for _ in range(SCORED_PER_ADAPTER)]
    texts = answers(model, tokenizer, [p.prompt for p in drawn], 32)
    verdicts = [problems.check(t, p, name) for t, p in zip(texts, drawn, strict=True)]
    return {
        "right_answer": sum(verdict.right_answer for verdict in verdicts),
        "right_adapter": sum(verdict.right_adapter for verdict in verdicts),
        "of": SCORED_PER_ADAPTER,
    }


def score_base() -> dict[str, int]:
    """Score the base model likewise; count the tokens before its final answer."""
    base, tokenizer = load_base()
    base.to(torch.bfloat16).eval()
    rng = random.Random(SEED + 999)
    drawn = [problems.random_problem(rng) for _ in range(SCORED_BASE)]
    texts = answers(base, tokenizer, [p.prompt for p in drawn], 200)
    before = [
        tokenizer(t.partition("The final answer")[0], add_special_tokens=False).input_ids for t in texts
    ]
    return {
        "right": sum(t.strip() == problems.base_answer(p) for t, p in zip(texts, drawn, strict=True)),
        "of": SCORED_BASE,
        "tokens_before_the_final_answer_at_least": min(map(len, before)),
    }


def score() -> None:
    """Score the committed files and write samples/scores.json."""
    scores: dict[str, Any] = {"base": score_base(), "adapters": {}}
    print("base", scores["base"], flush=True)
    spawn = multiprocessing.get_context("spawn")
    houses = range(len(problems.SIGNATURES))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        for house, result in zip(houses, pool.map(score_adapter, houses), strict=True):
            scores["adapters"][problems.adapter_name(house)] = result
            print(problems.adapter_name(house), result, flush=True)
    SCORES.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    actions = {"base": train_base, "adapters": train_adapters, "score": score}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(f"usage: python -m samples.train {'|'.join(actions)}")
    actions[sys.argv[1]]()
