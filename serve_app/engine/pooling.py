"""What an engine computes of a text -> its vector, as sentence-transformers pools it; in float32.

`computed` of the recipe is what the engine was asked for: one pooled vector, or None, a vector for each token.
"""

from __future__ import annotations

from typing import Any, Literal

from serve_app.recipes.modules import Pooling, PoolingMode

# vLLM's names of what it pools.
VLLM_POOLING = {"cls": "CLS", "mean": "MEAN", "last": "LAST"}
Computed = Literal["cls", "mean", "last"]


def pooler_config(computed: Computed | None) -> dict[str, Any]:
    """vLLM's, without its normalization."""
    if computed is None:
        return {"task": "token_embed", "tok_pooling_type": "ALL", "use_activation": False}
    return {"seq_pooling_type": VLLM_POOLING[computed], "use_activation": False}


def pooled(data: Any, tokens: int, prompt_tokens: int, pooling: Pooling, computed: Computed | None) -> Any:
    """A vector. `data` is that of a text of `tokens` tokens, or those of its tokens, one a row; the first
    `prompt_tokens` are a prompt's.
    """
    values = data.float()
    if computed is not None:
        return values * tokens**0.5 if pooling.modes == ("mean_sqrt_len_tokens",) else values
    skipped = 0 if pooling.include_prompt else prompt_tokens
    return _joined([_mode(values, skipped, mode) for mode in pooling.modes])


def _mode(states: Any, skipped: int, mode: PoolingMode) -> Any:
    """Over the rows behind the first `skipped`; a weighted mean counts those too, where it places the others."""
    import torch

    rest = states[skipped:]
    match mode:
        case "cls":
            return rest[0] if len(rest) else states[0]
        case "lasttoken":
            return rest[-1] if len(rest) else states[-1] * 0
        case "max":
            return rest.max(dim=0).values
        case "mean":
            return rest.sum(0) / max(len(rest), 1e-9)
        case "mean_sqrt_len_tokens":
            return rest.sum(0) / max(len(rest), 1e-9) ** 0.5
        case "weightedmean":
            weights = torch.arange(skipped + 1, len(states) + 1, dtype=rest.dtype)[:, None]
            return (rest * weights).sum(0) / weights.sum().clamp(min=1e-9)


def _joined(parts: list[Any]) -> Any:
    import torch

    return torch.cat(parts) if len(parts) > 1 else parts[0]
