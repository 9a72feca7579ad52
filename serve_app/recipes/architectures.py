"""Which architectures the engine has, read off vLLM's sources: importing vLLM takes seconds, and reads no file here."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from serve_app.settings import Backend
from stages.core.errors import ConfigError

REGISTRY = "model_executor/models/registry.py"
ALL_MODELS = "_VLLM_MODELS"
# Drafts of a larger model's next tokens, which score nothing.
DRAFTS = "_SPECULATIVE_DECODING_MODELS"
# Those whose models write text.
WRITERS = (
    "_TEXT_GENERATION_MODELS",
    "_MULTIMODAL_MODELS",
    "_TRANSFORMERS_SUPPORTED_MODELS",
    "_TRANSFORMERS_BACKEND_MODELS",
)
# What vLLM turns a decoder into: a head on its last token makes it a classifier, without its own head it embeds.
CONVERTED, DECODER = ("ForSequenceClassification", "Model"), "ForCausalLM"
# What it lacks it runs through classes of Transformers where these allow that. Compared with Transformers itself, this
# one was right; of the others Camembert counts its positions wrong (see `reading`), and DistilBert and Albert end the
# engine.
WRAPPED = frozenset({"ElectraForSequenceClassification"})

# native: a class of vLLM's own; converted: a decoder's, with another head; wrapped: see WRAPPED.
Loading = Literal["native", "converted", "wrapped"]


def vllm_architectures(of: tuple[str, ...] = ()) -> frozenset[str] | None:
    """The names in the registry of the vLLM that is installed, in all of its tables or in these; None where none is
    installed, and nothing can be said.
    """
    package = find_spec("vllm")
    sources = [Path(folder) / REGISTRY for folder in package.submodule_search_locations or ()] if package else []
    source = next(filter(Path.is_file, sources), None)
    return None if source is None else registered(source, of)


@cache
def registered(registry: Path, of: tuple[str, ...] = ()) -> frozenset[str]:
    """The architectures that this source file of vLLM lists, in all of its tables or in these."""
    tables = {
        statement.targets[0].id: statement.value
        for statement in ast.parse(registry.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Dict)
    }
    parts = [part.id for part in tables[ALL_MODELS].values if isinstance(part, ast.Name) and part.id != DRAFTS]
    parts = [part for part in parts if not of or part in of]
    keys = (key for part in parts for key in tables[part].keys)
    return frozenset(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def vllm_loads(architecture: str) -> Loading | None:
    """How vLLM would load it; None where it cannot, or would score it wrong: Transformers may still have it.

    "native" where no vLLM is installed: that is told elsewhere, and not of the model.
    """
    known = vllm_architectures()
    if known is None or architecture in known:
        return "native"
    if any(architecture.endswith(end) and architecture.removesuffix(end) + DECODER in known for end in CONVERTED):
        return "converted"
    return "wrapped" if architecture in WRAPPED else None


def require_computed(name: str, architecture: str, backend: Backend, *, own_code: bool = False) -> None:
    """Raises ConfigError for an architecture that the backend lacks, and names the other one where that has it.
    `own_code`: the model brings a class for Transformers, which may run.
    """
    if backend == "vllm" and vllm_loads(architecture) is None:
        fault = f"vLLM does not compute {architecture} as it was published"
        other = own_code or _in_transformers(architecture)
        mend = "Set engine.backend: transformers, which does"
    elif backend == "transformers" and not (own_code or _in_transformers(architecture)):
        fault, other = f"Transformers has no {architecture}", vllm_loads(architecture) is not None
        mend = "Leave engine.backend out: vLLM has it"
    else:
        return
    lacking = "The other backend lacks it too: choose another model"
    raise ConfigError(f"model.name {name}: {fault}. {mend if other else lacking}.")


def require_writes(name: str, architecture: str) -> None:
    """Raises ConfigError for an architecture of which vLLM has no model that writes text, as a judge does."""
    writing = vllm_architectures(WRITERS)
    if writing is not None and architecture not in writing:
        raise ConfigError(
            f"model.name {name}: config.json says {architecture}, of which vLLM has no model that writes text, and a "
            "judge does. Choose an instruction-tuned language model"
        )


def require_anywhere(name: str, architecture: str, *, own_code: bool) -> None:
    """Raises ConfigError for an architecture that neither backend has: no recipe makes it work."""
    if not own_code and vllm_loads(architecture) is None and not _in_transformers(architecture):
        raise ConfigError(
            f"model.name {name}: config.json says {architecture}, which neither vLLM nor Transformers has. Choose "
            "another model; where the class is code of its own, read it, then set model.trust_remote_code: true."
        )


def _in_transformers(architecture: str) -> bool:
    import transformers

    return architecture in dir(transformers)
