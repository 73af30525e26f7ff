"""Facts of LoRAX 0.12.1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: What LoRAX takes as --quantize, with the bits per weight of a linear layer, scales and zero points
#: included: a 16-bit scale and a zero point for 128 weights each (AWQ, GPTQ), a 32-bit scale for 64
#: (bitsandbytes), two 8-bit numbers and their own scales for 64 or, at 2 bits, for 16 (HQQ as LoRAX calls it;
#: its 3 bits are stored as 3.2). The command line also lists exl2, which the server does not know.
QUANTIZATIONS: Mapping[str, float] = MappingProxyType(
    {
        **{"awq": 4.2, "eetq": 8.0, "gptq": 4.2},
        **{"bitsandbytes": 8.0, "bitsandbytes-nf4": 4.5, "bitsandbytes-fp4": 4.5},
        **{"fp8": 8.0, "fp8-kv": 8.0},
        **{"hqq-4bit": 4.3, "hqq-3bit": 3.5, "hqq-2bit": 3.1},
    }
)
#: What LoRAX takes as --dtype.
DTYPES = ("float16", "bfloat16")
