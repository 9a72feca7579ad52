"""What sentence-transformers says of a model in its files: the modules that follow the Transformer, and its limits.

Whatever is there and not known is refused: file, value, and what would be needed. What a file does not say is as
sentence-transformers 6.2 has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from serve_app.base_settings import Settings
from serve_app.recipes.files import ModelFiles
from stages.core.errors import ConfigError

MODULES = "modules.json"
OWN_CONFIG = "config_sentence_transformers.json"
# The last part of a class's name in modules.json, whatever release wrote it; the rest says whose class it is.
LIBRARY = "sentence_transformers."
Activation = Literal["identity", "tanh", "gelu", "relu", "silu", "sigmoid", "leaky_relu", "elu", "mish", "softplus"]
# As torch names the class, which is made without arguments.
ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.LeakyReLU": "leaky_relu",
    "torch.nn.modules.activation.ELU": "elu",
    "torch.nn.modules.activation.Mish": "mish",
    "torch.nn.modules.activation.Softplus": "softplus",
}
# Modules that are nothing without their config.json.
DECIDED_BY_CONFIG = ("Pooling", "Dense", "LayerNorm")
PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
Computed = Literal["cls", "mean", "last"]
# The mode -> what an engine pools; over the square root of the length is the mean times that.
COMPUTED: dict[PoolingMode, Computed] = {
    "cls": "cls",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean",
    "lasttoken": "last",
}
# The flags of releases before 5.4 -> the names of today, in the order in which vectors are put one behind the other.
POOLING_FLAGS: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class Pooling(Settings):
    """How the vectors of a text's tokens become one; several `modes` are put one behind the other. Without
    `include_prompt` the tokens of a prompt are left out.
    """

    modes: tuple[PoolingMode, ...] = Field(min_length=1)
    include_prompt: bool = True

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, told: Any) -> Any:
        return {"modes": [told]} if isinstance(told, str) else told

    def computed(self, prompts: bool) -> Computed | None:
        """The one vector that an engine can pool by itself; None: it takes those of all tokens. `prompts`: whether any
        text has one.
        """
        if len(self.modes) != 1 or (prompts and not self.include_prompt):
            return None
        return COMPUTED.get(self.modes[0])


class DenseStep(Settings):
    """activation(weight x + bias), and with `residual` what came in on top; weights in `folder`."""

    kind: Literal["dense"] = "dense"
    folder: str
    inputs: int
    outputs: int
    bias: bool = True
    activation: Activation
    residual: bool = False


class LayerNormStep(Settings):
    """Layer normalization over `size` numbers; weights in `folder`, without one 1 and 0."""

    kind: Literal["layer_norm"] = "layer_norm"
    folder: str | None
    size: int


class NormalizeStep(Settings):
    """To length 1."""

    kind: Literal["normalize"] = "normalize"


Step = Annotated[DenseStep | LayerNormStep | NormalizeStep, Field(discriminator="kind")]


class Module(NamedTuple):
    """A line of modules.json: the last part of its class's name, the folder that it lies in, and its config.json."""

    type: str
    folder: str
    config: Mapping[str, Any]


def modules(files: ModelFiles) -> list[Module]:
    """The lines of modules.json in order, [] where there is none.

    Raises ConfigError for a class that is not sentence-transformers' own: what it does is known to its code alone.
    """
    lines = files.json(MODULES, optional=True)
    return [] if lines is None else [_module(files, line) for line in lines]


def module_types(files: ModelFiles) -> list[str]:
    """The last part of each class's name in modules.json, whosever it is."""
    return [str(line.get("type")).rpartition(".")[2] for line in files.json(MODULES, optional=True) or []]


def is_cross_encoder(files: ModelFiles) -> bool:
    """Whether sentence-transformers saved it as a cross-encoder; releases before 5.4 do not say."""
    return bool((files.json(OWN_CONFIG, optional=True) or {}).get("model_type") == "CrossEncoder")


def default_prompt(files: ModelFiles) -> str:
    """What a cross-encoder puts before each query. Raises ConfigError where its files name a prompt they lack."""
    told = files.json(OWN_CONFIG, optional=True) or {}
    name, prompts = told.get("default_prompt_name"), told.get("prompts") or {}
    if name is None:
        return ""
    if prompts.get(name) is None and name not in ("query", "document"):
        raise refused(OWN_CONFIG, "default_prompt_name", name, f"one of its prompts: {', '.join(prompts) or 'none'}")
    return str(prompts.get(name) or "")


def pooling(module: Module) -> Pooling:
    """Raises ConfigError for a mode that is not known."""
    where = f"{module.folder}/config.json"
    mode = module.config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or [])
    if mode is None:
        on = [flag for flag, value in module.config.items() if flag.startswith("pooling_mode_") and value is True]
        unknown = [flag for flag in on if flag not in POOLING_FLAGS]
        modes = [name for flag, name in POOLING_FLAGS.items() if flag in on] + unknown
        modes = modes or ["mean"]
    unknown = [one for one in modes if one not in POOLING_FLAGS.values()]
    if unknown:
        raise refused(where, "pooling mode", unknown[0], "one of " + ", ".join(POOLING_FLAGS.values()))
    return Pooling.model_validate({"modes": modes, "include_prompt": module.config.get("include_prompt", True)})


def steps(lines: list[Module], last_output: str = "sentence_embedding") -> tuple[Step, ...]:
    """What is done with the pooled vector; `last_output`: what the last module calls its result."""
    found = [step for line in lines for step in _step(line, last_output if line is lines[-1] else None)]
    return tuple(found)


def refused(file: str, key: str, value: Any, needed: str) -> ConfigError:
    """One line for what a model's files ask for and this package does not do."""
    return ConfigError(f"model.name: {file} says {key} {value!r}, which is not scored here. Needed: {needed}.")


def _module(files: ModelFiles, line: Mapping[str, Any]) -> Module:
    name = str(line.get("type"))
    if not name.startswith(LIBRARY):
        raise refused(MODULES, "type", name, "classes of sentence_transformers alone")
    if line.get("kwargs"):
        raise refused(MODULES, "kwargs", line["kwargs"], "modules that take no arguments of the caller")
    kind, folder = name.rpartition(".")[2], str(line.get("path") or "")
    # Where a download left it out, what sentence-transformers takes instead is another model.
    told = files.json(f"{folder}/config.json", optional=kind not in DECIDED_BY_CONFIG) if folder else None
    return Module(kind, folder, told or {})


def _step(module: Module, last_output: str | None) -> Iterator[DenseStep | LayerNormStep | NormalizeStep]:
    """None for a module that does nothing to a vector when a model is used."""
    where = f"{module.folder}/config.json"
    _require_vector(where, module.config, last_output or "sentence_embedding")
    if module.type == "Dense":
        path = module.config.get("activation_function", "torch.nn.modules.activation.Tanh")
        if path not in ACTIVATIONS:
            raise refused(where, "activation_function", path, "one of " + ", ".join(ACTIVATIONS.values()))
        yield DenseStep(
            folder=module.folder,
            inputs=_size(module, "in_features"),
            outputs=_size(module, "out_features"),
            bias=module.config.get("bias", True),
            activation=ACTIVATIONS[path],
            residual=module.config.get("use_residual", False),
        )
    elif module.type == "LayerNorm":
        yield LayerNormStep(folder=module.folder, size=_size(module, "dimension"))
    elif module.type == "Normalize":
        yield NormalizeStep()
    elif module.type != "Dropout":
        raise refused(MODULES, "type", module.type, "Dense, LayerNorm, Normalize or Dropout behind the pooling")


def _size(module: Module, key: str) -> int:
    value = module.config.get(key)
    if not isinstance(value, int) or value < 1:
        raise refused(f"{module.folder}/config.json", key, value, "a number of at least 1")
    return value


def _require_vector(where: str, config: Mapping[str, Any], output: str) -> None:
    """That a module reads the pooled vector and writes it, or the score."""
    read = config.get("module_input_name") or "sentence_embedding"
    written = config.get("module_output_name") or read
    if read != "sentence_embedding":
        raise refused(where, "module_input_name", read, "sentence_embedding")
    if written not in ("sentence_embedding", output):
        raise refused(where, "module_output_name", written, output)
