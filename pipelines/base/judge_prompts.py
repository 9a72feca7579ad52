"""The prompts that judges are asked with: those that come with rerank-eval, and a user's own."""

from __future__ import annotations

from pathlib import Path

from pipelines.base.bundled import bundled
from pipelines.base.yaml_text import read_yaml
from stages.core.errors import ConfigError
from stages.core.judge_prompt import JudgePrompt
from stages.core.words import did_you_mean
from stages.grading.prompt import prompt_of

FOLDER = "configs/judges"


def judge_prompt(name: str) -> JudgePrompt:
    """By the name of one that comes with rerank-eval, as `graded`, or by a YAML file's path. Raises ConfigError."""
    if Path(name).suffix in (".yaml", ".yml") or Path(name).name != name:
        return read_prompt(Path(name))
    known = {file.stem: file for file in sorted(bundled(FOLDER).glob("*.yaml"))}
    if name not in known:
        raise ConfigError(
            f"judge.prompt {name}: there is none of this name{did_you_mean(name, known)}; or give a .yaml file"
        )
    return read_prompt(known[name])


def read_prompt(path: Path) -> JudgePrompt:
    """Called after its file. Raises ConfigError, in one line."""
    what = "judge.prompt"
    return prompt_of(read_yaml(path, what), path.stem, f"{what} {path}")
