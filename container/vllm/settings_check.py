"""The settings that vLLM 0.32.0 can serve; synth checks a stage file by it, too.

Imports nothing of vLLM or of the gateway's server, so that a stage file is read fast and anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.closest import closest
from adapters.engines import vllm
from container.gateway.engine_arguments import command_line
from container.gateway.settings import Settings, SettingsError
from container.vllm.flag_table import TOOL_CALL_PARSERS
from container.vllm.flags import FLAGS
from container.vllm.options import slot_rank


def check_settings(settings: Settings, _environment: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a variable with which vLLM could not serve.

    The container's environment is not used: vLLM's options come from the settings alone.
    """
    known = vllm.RULES.quantizations
    if settings.quantize is not None and settings.quantize not in known:
        raise SettingsError(
            "HF_MODEL_QUANTIZE",
            settings.quantize,
            f"leave it out, or give one that vLLM knows: {', '.join(known)}"
            f"{closest(settings.quantize, known)}",
        )
    parser = settings.tool_call_parser
    if parser is not None and parser not in TOOL_CALL_PARSERS:
        raise SettingsError(
            "TOOL_CALL_PARSER",
            parser,
            f"leave it out, or give one that vLLM has: {', '.join(TOOL_CALL_PARSERS)}"
            f"{closest(parser, TOOL_CALL_PARSERS)}",
        )
    memory = settings.max_cpu_adapters
    if memory is not None and memory < settings.max_active_adapters:
        raise SettingsError(
            "MAX_CPU_ADAPTERS",
            str(memory),
            f"give {settings.max_active_adapters} (MAX_ACTIVE_ADAPTERS) or more, or leave it out: adapters "
            "in slots are in vLLM's host memory, too",
        )
    slot_rank(settings)
    command_line(settings.engine_arguments, FLAGS)
