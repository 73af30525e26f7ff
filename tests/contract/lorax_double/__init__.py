"""A double of LoRAX 0.12.1 (github.com/predibase/lorax, tag v0.12.1), bugs included.

It follows LoRAX's source closely where other programs see a difference: the HTTP surface, the
queues and the loader of adapters, the download of adapters from S3, and the ways in which the process
ends. Names are those of the source, so that both can be read side by side. In place of a model there is
one that answers the word problems of `samples/problems.py` as the sample adapters do.

    python -m tests.contract.lorax_double --port 8081

    abort.py, errors.py, log.py, metrics.py      what all the others use
    options.py            launcher/src/main.rs   environment and command line; the double's own switches
    json_body.py          axum's `Json`, serde   what is refused before LoRAX sees it, in plain text
    schema.py             router/src/lib.rs      the requests
    validation.py         router/src/validation.rs
    adapter.py            router/src/adapter.rs  which adapter a request means
    queues.py             router/src/queue.rs    which adapters are resident
    loader.py             router/src/loader.rs   one load after the other
    scheduler.py          router/src/scheduler.rs
    infer.py, batching.py router/src/infer.rs    one request; all requests together
    openai.py             router/src/lib.rs      OpenAI's schemas
    server.py, stream.py, responses.py  router/src/server.rs   routes, events, bodies and headers
    shard.py              router/client/src/client.rs: the calls of the one loop that does it all
    site/lorax_server/    server/lorax_server/server.py, under LoRAX's name: what our image changes in
                          LoRAX (container/lorax/shard) changes it here in the same way
    generate_pb2.py       proto/generate.proto
    model.py, batch.py    server/lorax_server/models/, cache.py
    adapter_files.py      server/lorax_server/utils/adapter.py, weights.py
    sources.py            server/lorax_server/utils/sources/
    tokens.py, sample_answers.py  in place of a tokenizer and of a model

Faults that a prompt can cause: `[[oom]]` a GPU out of memory, `[[hang]]` generation that stops for all
requests, `[[slow]]` slow tokens, `[[crash]]` the end of the process.
"""
