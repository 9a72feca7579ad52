"""Why an engine did not start is told in one line, that of the error which tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError, field_validator
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from serve_app.engine.start_failure import LONGEST, telling_line, telling_why
from stages.core.errors import ConfigError, EngineError
from tests.tiny_models import bert_tokenizer

ROOT = Path(__file__).parents[3]
# As vLLM prints them: the error of a process of its own, and what the process above makes of it.
IN_A_PROCESS_OF_ITS_OWN = """\
(EngineCore pid=412) ERROR 11-30 12:17:02 [core.py:1510] EngineCore failed to start.
(EngineCore pid=412) ERROR 11-30 12:17:02 [core.py:1510] Traceback (most recent call last):
(EngineCore pid=412) ERROR 11-30 12:17:02 [core.py:1510]   File "/vllm/model_executor/models/base.py", line 1, in check
(EngineCore pid=412) ERROR 11-30 12:17:02 [core.py:1510]     raise ValueError(f"no {what}")
(EngineCore pid=412) ERROR 11-30 12:17:02 [core.py:1510] ValueError: Layer 0 does not dispatch through the interface.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}
"""
BY_PYDANTIC = """\
pydantic_core._pydantic_core.ValidationError: 2 validation errors for ModelConfig
runner
  Value error, This model does not support `--runner pooling`. [type=value_error, input_value='pooling', input_type=str]
    For further information visit https://errors.pydantic.dev/2.13/v/value_error
  Value error, Model architectures ['XModel'] are not supported for now. Supported architectures: \
dict_keys(['A', 'B']) [type=value_error, input_value=ArgsKwargs((), {'model': '/m'}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev/2.13/v/value_error
"""
REASONS = "This model does not support `--runner pooling`.; Model architectures ['XModel'] are not supported for now."


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (IN_A_PROCESS_OF_ITS_OWN, "ValueError: Layer 0 does not dispatch through the interface."),
        (BY_PYDANTIC, REASONS),
        (f"{BY_PYDANTIC}\nRuntimeError: Engine core initialization failed. See root cause above.", REASONS),
        ("ValueError: a\nKeyError: 'b'\n", "KeyError: 'b'"),
        (
            "RuntimeError: Error(s) in loading state_dict for Bert:\n\tsize mismatch for a\n",
            "RuntimeError: Error(s) in loading state_dict for Bert: size mismatch for a",
        ),
        ("AssertionError\n", "AssertionError: "),
        ("rerank-eval: model.name x: no such folder\n", "rerank-eval: model.name x: no such folder"),
        ("INFO: an Error was handled\n", None),
        ("", None),
    ],
)
def test_the_last_error_that_says_why_is_told_and_not_what_points_at_it(printed: str, told: str | None) -> None:
    assert telling_line(printed.splitlines()) == (told.strip() if told else told)


class Engine(BaseModel):
    layers: int

    @field_validator("layers")
    @classmethod
    def few(cls, layers: int) -> int:
        raise ValueError(f"{layers} layers are too many")


def test_what_pydantic_says_on_the_next_line_is_what_is_told() -> None:
    with pytest.raises(EngineError) as caught, telling_why():
        Engine(layers=99)
    assert str(caught.value) == "99 layers are too many"
    assert isinstance(caught.value.__cause__, ValidationError), "a log has all of it"


def test_our_own_errors_are_told_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^model.name x: no such folder$"), telling_why():
        raise ConfigError("model.name x: no such folder")


def test_a_reason_is_one_line_of_bearable_length() -> None:
    with pytest.raises(EngineError) as caught, telling_why():
        raise RuntimeError("word " * 1000)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= LONGEST + len(" ...")


def run_logged(program: str, log: Path, *arguments: Path) -> None:
    """In a process of its own, of these sources, whose output goes to a file as that of Ray's workers does."""
    with log.open("w") as file:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        subprocess.run(command, stdout=file, stderr=file, check=True, cwd=ROOT)


def test_an_error_that_points_at_what_was_printed_is_told_as_that_where_it_went_to_a_file(tmp_path: Path) -> None:
    """A child prints the reason; its parent fails with a pointer to it."""
    program = """
import subprocess, sys
from serve_app.engine.start_failure import telling_why
print("ValueError: of before", flush=True)
try:
    with telling_why():
        subprocess.run([sys.executable, "-c", "raise ValueError('no room for 3 layers')"])
        raise RuntimeError("Engine core initialization failed. See root cause above.")
except Exception as error:
    open(sys.argv[1], "w").write(f"{type(error).__name__}: {error}")
"""
    run_logged(program, tmp_path / "log", tmp_path / "told")
    assert (tmp_path / "told").read_text() == "EngineError: ValueError: no room for 3 layers"


def test_where_nothing_is_known_the_errors_own_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.engine.start_failure._file", lambda _: None)  # as where output goes to a terminal
    with pytest.raises(EngineError) as caught, telling_why():
        raise RuntimeError("Engine core initialization failed. See root cause above.")
    assert str(caught.value).startswith("RuntimeError, for a reason that its log may tell: Engine core")


START = """
import sys
from serve_app.engine.light_start import spawned_light
from serve_app.engine.models import ModelInfo
from serve_app.engine.start_failure import telling_why
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import EngineError

folder, told = sys.argv[1:]
try:
    with telling_why(), spawned_light():
        from serve_app.engine.engine import VllmEngine
        model = ModelInfo(folder, folder, None, CrossEncoderRecipe(), 128, None)
        settings = EngineSettings(compile=False, kv_cache_gib=0.1)
        VllmEngine(model, ModelSettings(name=folder), settings, "one", 1000)
except EngineError as error:
    open(told, "w").write(str(error))
"""


@pytest.mark.thorough
@pytest.mark.heavy
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("an architecture that vLLM does not know", "Model architectures ['Unheard'] are not supported for now."),
        ("layers that it cannot run", "ValueError: Layer 0 does not dispatch through the Transformers attention"),
        ("weights of another shape", "RuntimeError: start (0) + length"),
    ],
)
def test_vllms_own_reason_is_told_whichever_of_its_processes_fails(kind: str, told: str, tmp_path: Path) -> None:
    folder = make_refused(kind, tmp_path / "model")
    run_logged(START, tmp_path / "log", folder, tmp_path / "told")
    assert (tmp_path / "told").read_text().startswith(told)


def make_refused(kind: str, folder: Path) -> Path:
    """A sequence classifier that vLLM refuses: by its config, by its class, by its weights."""
    from tests.tiny_models import make_tiny_cross_encoder

    if kind == "layers that it cannot run":
        tokenizer = bert_tokenizer()
        config = DistilBertConfig(vocab_size=len(tokenizer), dim=64, n_layers=1, n_heads=2, hidden_dim=64, num_labels=1)
        DistilBertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder
    make_tiny_cross_encoder(folder)
    if kind == "weights of another shape":
        weights = load_file(folder / "model.safetensors")
        name = "bert.encoder.layer.0.output.dense.weight"
        save_file(weights | {name: weights[name][:, :64].contiguous()}, folder / "model.safetensors")
    else:
        config_file = folder / "config.json"
        config_file.write_text(config_file.read_text().replace("BertForSequenceClassification", "Unheard"))
    return folder
