"""Completions sampled by vLLM: TRL's arguments for it, and whether it is there"""

from __future__ import annotations

import importlib.util
from typing import Any

from radflow.config import RFTConfig
from radflow.errors import ConfigError


def require_vllm(config: RFTConfig) -> None:
    """Said before the first stage runs, not when RFT begins.

    Raises:
        ConfigError: vLLM is asked for and not installed.
    """
    if config.vllm != "none" and importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "rollouts by vLLM need the package vllm, which is not installed",
            where=f"rft.vllm is {config.vllm}",
            next_step="pip install vllm in a version that this TRL takes, or set rft.vllm to none.",
        )


def vllm_arguments(config: RFTConfig) -> dict[str, Any]:
    """TRL's arguments for rollouts by vLLM, or by the model itself.

    Raises:
        ConfigError: vLLM is asked for and not installed.
    """
    require_vllm(config)
    if config.vllm == "none":
        return {"use_vllm": False}
    return {
        "use_vllm": True,
        "vllm_mode": config.vllm,
        # vLLM's probabilities differ a little from the trainer's: ratios are weighed and cut at 2, none is
        # dropped (TRL's default drops whole completions, which no log of ours would show).
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": 2.0,
        "vllm_gpu_memory_utilization": config.vllm_gpu_memory,
        # Prompts and images are patient data: the server is one of this machine.
        "vllm_server_base_url": f"http://127.0.0.1:{config.vllm_port}" if config.vllm == "server" else None,
    }
