"""Exchanges the weights in the first two slots of a running vLLM when the file `SWAP_SLOTS` appears.

A thread in each process looks for the file. The process that has vLLM's manager of slots acts on it, and removes
the file afterwards.
"""

import gc
import os
import threading
import time
from pathlib import Path


def _swap_slots(manager):
    for layer in {id(module): module for module in manager.modules.values()}.values():
        for stacked in (*layer.lora_a_stacked, *layer.lora_b_stacked):
            stacked[[0, 1]] = stacked[[1, 0]]


def _watch(file):
    while True:
        time.sleep(0.05)
        if file.exists():
            # vLLM freezes its objects, and frozen ones are not listed.
            gc.unfreeze()
            for each in gc.get_objects():
                if type(each).__name__ == "LRUCacheLoRAModelManager":
                    _swap_slots(each)
                    file.unlink()
                    break


if "SWAP_SLOTS" in os.environ:
    threading.Thread(target=_watch, args=(Path(os.environ["SWAP_SLOTS"]),), daemon=True).start()
