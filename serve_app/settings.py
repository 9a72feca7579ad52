"""What can be set about the model, the engine and the deployment. Field descriptions are the config reference."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from serve_app.base_settings import Settings
from serve_app.http_settings import HttpSettings

# How models are scored: the kinds of recipes, and the one recipe that has a name of its own here.
Family = Literal[
    "qwen3-reranker", "decoder", "cross-encoder", "modular-cross-encoder", "embedding", "late-interaction", "listwise"
]
Template = Literal["single_newline", "blank_line"]
LongDocuments = Literal["cut", "passages"]
Canaries = Literal["strict", "finite"]
Backend = Literal["vllm", "transformers"]
Api = Literal["cohere", "jina", "voyage", "tei", "nim", "vllm", "rerank-eval"]

EMBEDDED_MODEL = "embedded:all-MiniLM-L6-v2"
# Not a model: the share of common words, for tests of everything but scoring, without an engine.
OVERLAP: Literal["overlap"] = "overlap"
# Not a model of ours: somebody else's, asked over HTTP in the form of `model.api`.
HOSTED: Literal["hosted"] = "hosted"
# Arguments of vLLM that `engine.extra` may not set, as what decides a score would then be told wrong -> what sets them.
SET_ELSEWHERE = {
    "model": "model.name",
    "model_weights": "model.name",
    "revision": "model.revision",
    "tokenizer": "model.name: prompts are made with the model's own",
    "tokenizer_revision": "model.revision",
    "hf_config_path": "model.name: the config is the model's own",
    "max_model_len": "model.max_length",
    "dtype": "engine.dtype",
    "load_format": "engine.load_format",
    "runner": "model.family",
    "trust_remote_code": "model.trust_remote_code",
    "code_revision": "model.code_revision",
}

# Settings of the engine that mean nothing to Transformers. Of the others prefix_caching and compile are switches that
# are on by default: there is no cache, and what is not compiled is eager.
VLLM_ALONE = ("block_size", "kv_cache_gib", "gpu_memory_share", "tensor_parallel", "load_format", "extra")


class ModelSettings(Settings):
    """Which model, and how its prompt is made. All of it decides a score, but for `canaries`."""

    name: str = Field(
        EMBEDDED_MODEL,
        description="A local folder, a Hugging Face id, or embedded:all-MiniLM-L6-v2 (in the package). With `api`: the "
        "http(s) address that is asked; a host alone gets the API's usual path.",
    )
    api: Api | None = Field(
        None,
        description="The model is hosted: texts are sent to the address in `name`, in the form of this API. null: the "
        "model is computed here.",
    )
    served_as: str | None = Field(None, min_length=1, description="What the API calls the model. With `api` alone.")
    key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the API's key, sent as `Authorization: Bearer`. null: "
        "none is sent. With `api` alone.",
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit of a Hugging Face id. Its commit is what is loaded, and told."
    )
    recipe: str | dict[str, Any] | None = Field(
        None,
        description="How it is scored: a recipe's name (`rerank-eval models` lists them), or one of your own. "
        "null: as the hub id or the model's files say.",
    )
    family: Family | None = Field(None, description="What kind it must be of; another one is refused. null: any.")
    query_prompt: str | None = Field(
        None, description="What stands before each query of an embedding model. null: as its recipe says."
    )
    document_prompt: str | None = Field(
        None, description="What stands before each document of an embedding model. null: as its recipe says."
    )
    dimensions: int | None = Field(
        None, gt=0, description="Leading dimensions of an embedding that count (matryoshka). null: all."
    )
    template: Template = Field(
        "single_newline", description="Which published Qwen3 prompt: lines joined by one newline, or by a blank line."
    )
    instruction: str | None = Field(
        None, description="What relevance means here. null: the Qwen3 default; embedding models use none."
    )
    max_length: int | None = Field(
        None, gt=8, description="Tokens of a whole prompt; the document is cut to fit. null: the model's own limit."
    )
    long_documents: LongDocuments = Field(
        "cut",
        description="A document that does not fit is cut, or read in overlapping passages that fit, of which the best "
        "one's score is its own (MaxP).",
    )
    max_passages: int = Field(
        32,
        gt=1,
        lt=65536,
        description="Passages of one document at most. What lies behind them is not read, and told as cut.",
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code of the model's own, in engine, config and tokenizer. Read it before."
    )
    code_revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Commit (40 hex digits) of code that the model takes from another repository.",
    )
    canaries: Canaries = Field(
        "strict",
        description="What a job asks of the scores of a few built-in pairs before it begins. strict: no answer is far "
        "behind a text that has nothing to do with its query. finite: they are numbers, and not all the same.",
    )

    @model_validator(mode="after")
    def _hosted_or_here(self) -> Self:
        """What does nothing would be taken for something that does."""
        hosted = {"served_as", "key_env"}
        fields = type(self).model_fields
        given = {name for name, one in fields.items() if getattr(self, name) != one.get_default()}
        if self.api is None:
            if useless := sorted(given & hosted):
                raise ValueError(f"{', '.join(useless)} belong to a hosted model: set api as well, or leave them out")
            return self
        if useless := sorted(given - hosted - {"name", "api", "instruction"}):
            raise ValueError(
                f"{', '.join(useless)}: what a hosted model does is set where it is served. Leave them out, or api"
            )
        return self


class EngineSettings(Settings):
    """How the engine runs. null means the good default of the device at hand."""

    backend: Backend = Field(
        "vllm",
        description="What computes. transformers: for models that vLLM lacks, such as DeBERTa-v2, MPNet and T5, in "
        "batches of like lengths, at its own speed.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="auto: on a CPU bfloat16 where the processor computes in it, else float32; on a GPU vLLM's."
    )
    block_size: int | None = Field(
        None, gt=0, description="Tokens per cache block. null: 32 on a CPU, vLLM's on a GPU."
    )
    max_num_seqs: int | None = Field(
        None,
        gt=0,
        description="Prompts per step. null: what vLLM gives its LLM class; with Transformers 32 on a CPU, else 128.",
    )
    max_num_batched_tokens: int | None = Field(
        None,
        gt=0,
        description="Tokens per step. null: what vLLM gives its LLM class; with Transformers, padding included, 4,096 "
        "on a CPU, else 32,768.",
    )
    kv_cache_gib: float | None = Field(
        None, gt=0, description="Cache size in GiB. null: 2 on a CPU; on a GPU what is left."
    )
    gpu_memory_share: float = Field(0.9, gt=0, le=1, description="Share of the GPU's memory that vLLM may take.")
    tensor_parallel: int = Field(
        1, gt=0, description="GPUs that share one copy of the model, for models that do not fit."
    )
    prefix_caching: bool = Field(True, description="Keep the query's part of the prompt from one document to the next.")
    compile: bool = Field(True, description="torch.compile: faster steps, slower start. false: eager.")
    vector_memory_mib: float = Field(
        256,
        ge=0,
        description="What a replica remembers of the vectors of embedding and late-interaction models, in MiB: a text "
        "that occurs again, with any query, is not computed again. 256 are about 145,000 texts of 384 dimensions. 0: "
        "nothing.",
    )
    load_format: Literal["auto", "dummy"] = Field("auto", description="dummy: random weights, for measurements only.")
    extra: dict[str, Any] = Field({}, description="Any other argument of vLLM's AsyncEngineArgs, by its own name.")

    @field_validator("extra")
    @classmethod
    def _not_set_elsewhere(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in extra:
            if name in SET_ELSEWHERE:
                raise ValueError(f"{name} has a setting of its own. Set {SET_ELSEWHERE[name]}")
        return extra

    @model_validator(mode="after")
    def _nothing_of_another_backend(self) -> Self:
        """A value that does nothing would be taken for one that does."""
        fields = type(self).model_fields
        for name in VLLM_ALONE if self.backend == "transformers" else ():
            if getattr(self, name) != fields[name].get_default(call_default_factory=True):
                raise ValueError(f"{name} is vLLM's, and engine.backend is transformers. Leave one of them out")
        return self


class DeploymentSettings(Settings):
    """How Ray Serve runs the replicas."""

    application: str | None = Field(
        None, description="Name of the Serve application to use or start. null: made from the settings."
    )
    replicas: int = Field(1, gt=0, description="Copies of the engine; throughput grows with them.")
    max_replicas: int | None = Field(
        None, gt=0, description="Grow with the queue up to so many, and shrink back to `replicas`. null: no growth."
    )
    target_calls: float = Field(
        8, gt=0, description="Calls per replica that growth and shrinking aim at, each a query."
    )
    surge: bool = Field(False, description="On a change start new replicas before the old stop; needs room.")
    gpus_per_replica: float | None = Field(
        None, ge=0, description="null: tensor_parallel where the cluster has GPUs, else 0. 0: the CPU."
    )
    cpus_per_replica: float = Field(1, ge=0, description="Ray CPUs that a replica reserves.")
    accelerator_type: str | None = Field(None, description="Ray's name of the GPU kind to run on, such as A100.")
    max_replicas_per_node: int | None = Field(None, gt=0, description="Spread replicas: at most so many on one node.")
    max_ongoing_queries: int = Field(
        256,
        gt=0,
        description="Queries that a replica works on at once, and calls that it takes: further ones wait outside, and "
        "keep asking for a place. A job's call is a batch of queries, or a query where replicas grow.",
    )
    max_text_chars: int = Field(
        10_000_000,
        gt=0,
        description="Characters of a document, or of a query with its instruction. A longer one is refused with 413; "
        "in a job its pairs fail.",
    )
    niceness: int = Field(
        0, ge=0, le=19, description="What engines add to the niceness of the command, or of a Ray that runs already."
    )
    start_timeout_s: float = Field(900, gt=0, description="How long an engine may take to start.")
    health_check_period_s: float = Field(
        10, gt=0, description="How often a replica's process is asked whether it lives."
    )
    health_check_timeout_s: float = Field(
        60, gt=0, description="After how long without an answer, three times in a row, it counts as dead."
    )
    graceful_shutdown_timeout_s: float = Field(
        30, gt=0, description="How long a stopping replica may finish its calls."
    )
    retry_for_s: float = Field(600, ge=0, description="How long a call to a dead or full replica is retried elsewhere.")
    http: HttpSettings = Field(HttpSettings(), description="The HTTP service.")
    ray_address: str | None = Field(
        None, description="The Ray cluster. null: $RAY_ADDRESS, else a local one is started."
    )

    @property
    def grows(self) -> bool:
        """Whether Serve starts further replicas where calls wait."""
        return self.max_replicas is not None and self.max_replicas > self.replicas
