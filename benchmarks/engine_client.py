"""Engine client benchmark: does the gateway's own HTTP client take less processor time than aiohttp's?

    python -m benchmarks.engine_client [--rounds 12] [--json]

A null engine in a separate process answers the requests. Each round has two comparisons:

client      `EnginePool` and `AiohttpPool` alone: whole responses for 32 tasks, then 64 streams;
gateway     the gateway with one pool and with the other; a third process sends the load.

The figure is the processor time, for one request and for one event, of the process that has the client.
Other programs on the machine add to elapsed time, but not to processor time. The result is the ratio
own ÷ aiohttp of each round: median, lowest and highest.

Duration: about three minutes on two cores. Output: standard output only.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import statistics
import sys
import time
from typing import Annotated, Any

import psutil  # type: ignore[import-untyped]
import typer
import uvloop

from benchmarks.aiohttp_pool import AiohttpPool
from benchmarks.bare_gateway import module_process, serve_gateway
from benchmarks.errors import BenchmarkFailed
from benchmarks.http_load import HttpRequest, closed_loop, event_delays, rps, streams
from container.gateway.engine.connection import EnginePool
from laptop_cloud.ports import free_port
from loraserve.demo.scenarios import alternating
from samples.problems import SEED_PROBLEM
from samples.spec import BASE_NAME

OWN, AIOHTTP = "own", "aiohttp"
SIDES = (OWN, AIOHTTP)
CALLERS = 32
#: Per round: whole responses, streams, and events of a stream (50 a second, as the null engine sends them).
REQUESTS, STREAMS, EVENTS = 3000, 64, 100


def measure(rounds: int) -> dict[str, Any]:
    """Measure all rounds; return the figures of each round, and the ratios."""
    engine_port = free_port(0)
    with module_process("benchmarks.null_engine", "--port", str(engine_port), port=engine_port):
        found = uvloop.run(_clients(engine_port, rounds)) | _gateways(engine_port, rounds)
    return {"rounds": found, "ratios": {name: _ratio(figures) for name, figures in found.items()}}


async def _clients(engine_port: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure both pools in this process."""
    other = AiohttpPool("127.0.0.1", engine_port)
    pools: dict[str, EnginePool] = {OWN: EnginePool("127.0.0.1", engine_port), AIOHTTP: other}
    for pool in pools.values():
        await _whole(pool, 500)
    gc.collect()
    gc.freeze()
    found: dict[str, list[dict[str, float]]] = {
        "client, µs of processor a request": [],
        "client, requests/s": [],
        "client, µs of processor an event": [],
    }
    per_request, per_second, per_event = found.values()
    for number in range(rounds):
        for figures in found.values():
            figures.append({})
        for side in alternating(SIDES, number):
            began, used = time.perf_counter(), time.process_time()
            await _whole(pools[side], REQUESTS)
            per_request[-1][side] = (time.process_time() - used) / REQUESTS * 1e6
            per_second[-1][side] = REQUESTS / (time.perf_counter() - began)
        for side in alternating(SIDES, number):
            used = time.process_time()
            await _streams(pools[side])
            per_event[-1][side] = (time.process_time() - used) / (STREAMS * EVENTS) * 1e6
    pools[OWN].close()
    await other.aclose()
    return found


async def _whole(pool: EnginePool, count: int) -> None:
    body = json.dumps(_engine_body(stream=False)).encode()

    async def caller() -> None:
        for _ in range(count // CALLERS):
            async with pool.request("POST", "/v1/completions", body) as response:
                if b'"usage"' not in await response.read():
                    raise BenchmarkFailed("a response is incomplete")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def _streams(pool: EnginePool) -> None:
    body = json.dumps(_engine_body(stream=True)).encode()

    async def caller(wait: float) -> None:
        # As in `benchmarks.http_load`: events of different streams do not arrive at the same instant.
        await asyncio.sleep(wait)
        events = 0
        async with pool.request("POST", "/v1/completions", body) as response:
            async for chunk in response.chunks():
                events += chunk.count(b"data: {")
        if events != EVENTS:
            raise BenchmarkFailed(f"{events} of {EVENTS} events of a stream arrived")

    await asyncio.gather(*(caller(0.0013 * number) for number in range(STREAMS)))


def _engine_body(*, stream: bool) -> dict[str, Any]:
    return {"model": BASE_NAME, "prompt": SEED_PROBLEM.prompt, "max_tokens": EVENTS, "stream": stream}


def _gateways(engine_port: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure a gateway with each pool; both gateway processes run all the time."""
    found: dict[str, list[dict[str, float]]] = {
        "gateway, µs of processor a request": [],
        "gateway, requests/s": [],
        "gateway, µs of processor an event": [],
    }
    per_request, per_second, per_event = found.values()
    with contextlib.ExitStack() as stack:
        ports, processes = {}, {}
        for side in SIDES:
            ports[side] = free_port(0)
            arguments = ("serve", side, str(ports[side]), str(engine_port))
            gateway = module_process("benchmarks.engine_client", *arguments, port=ports[side])
            processes[side] = psutil.Process(stack.enter_context(gateway).pid)
            _used(processes[side], ports[side], stream=False)
        for number in range(rounds):
            for figures in found.values():
                figures.append({})
            for side in alternating(SIDES, number):
                used, rps = _used(processes[side], ports[side], stream=False)
                per_request[-1][side] = used / REQUESTS * 1e6
                per_second[-1][side] = rps
            for side in alternating(SIDES, number):
                used, _ = _used(processes[side], ports[side], stream=True)
                per_event[-1][side] = used / (STREAMS * EVENTS) * 1e6
    return found


def _used(process: psutil.Process, port: int, *, stream: bool) -> tuple[float, float]:
    """Send the load; return the gateway's processor time in seconds, and requests per second."""
    body = {"inputs": SEED_PROBLEM.prompt, "parameters": {"max_new_tokens": EVENTS}, "stream": stream}
    before = process.cpu_times()
    if stream:
        found = streams(port, "/invocations", [HttpRequest(body)], STREAMS)
    else:
        found = closed_loop(port, "/invocations", [HttpRequest(body, f"[{BASE_NAME}]")], REQUESTS, CALLERS)
    after = process.cpu_times()
    if stream:
        event_delays(found, EVENTS)  # refuses a stream without all of its events
    return after.user + after.system - before.user - before.system, rps(found)


async def _serve(side: str, port: int, engine_port: int) -> None:
    """Serve a gateway with this side's client."""
    await serve_gateway((EnginePool if side == OWN else AiohttpPool)("127.0.0.1", engine_port), port)


def _ratio(rounds: list[dict[str, float]]) -> dict[str, float]:
    ratios = [each[OWN] / each[AIOHTTP] for each in rounds]
    sides = {side: statistics.median(each[side] for each in rounds) for side in SIDES}
    return sides | {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def main(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of each comparison.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rounds as one JSON document.")] = False,
) -> None:
    """Measure both clients and print the ratios."""
    try:
        found = measure(rounds)
    except BenchmarkFailed as error:
        print(f"✗ {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name, figures in found["ratios"].items():
        print(
            f"{name:36} own {figures[OWN]:8.1f}  aiohttp {figures[AIOHTTP]:8.1f}  "
            f"own ÷ aiohttp {figures['ratio']:.2f} ({figures['lowest']:.2f} to {figures['highest']:.2f})"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        typer.run(main)
