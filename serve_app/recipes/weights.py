"""Whether a folder holds a model that can be loaded: it is told here in a second, by an engine after minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serve_app.recipes.files import ModelFiles
from stages.core.errors import ConfigError

LOADED = (".safetensors", ".bin", ".pt", ".pth")
# Weights of other programs, which lie in folders of their own or beside the others.
ELSEWHERE = {
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".xml": "OpenVINO",
    ".ot": "Rust",
}
POINTER = b"version https://git-lfs"
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def require_loadable(files: ModelFiles) -> None:
    """Raises ConfigError, with what to do, for a folder that lacks what loading it takes. Of a hub id nothing is known
    before it is downloaded.
    """
    folder = Path(files.path)
    if not folder.is_dir():
        return
    _require_config(files, folder)
    for file in _small_files(folder):
        with file.open("rb") as opened:
            if opened.read(len(POINTER)) == POINTER:
                raise ConfigError(
                    f"model.name {files.name}: {file.relative_to(folder)} is a pointer of Git LFS instead of the file "
                    "itself. Run git lfs pull in that folder."
                )
    _require_shards(files, folder)
    others = [ELSEWHERE[file.suffix] for file in sorted(folder.rglob("*")) if file.suffix in ELSEWHERE]
    if others and not any(file.suffix in LOADED for file in folder.iterdir()):
        raise ConfigError(
            f"model.name {files.name}: its weights are {others[0]} alone, which no backend here loads. Name the model "
            "that they were made from, with model.safetensors or pytorch_model.bin."
        )


def _require_config(files: ModelFiles, folder: Path) -> None:
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        return
    inside = sorted(file.parent for file in (*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")))
    lines = files.json("modules.json", optional=True) or []
    if lines:
        first = str(lines[0].get("type")).rpartition(".")[2]
        mend = (
            f"modules.json begins with {first} in {str(lines[0].get('path'))!r}, and what is scored here begins with "
        )
        mend += "a Transformer in the folder itself: save it again with sentence-transformers, or choose another model"
    elif inside:
        mend = f"There is one in its folder {inside[-1].relative_to(folder)}: name that folder, if it is the one"
    elif any(folder.glob("*.gguf")):
        mend = "GGUF weights alone are loaded by no backend here: name the model that they were made from"
    else:
        mend = "Name the folder of a model as Transformers saves it"
    raise ConfigError(f"model.name {files.name}: cannot read config.json, which is not there. {mend}.")


def _small_files(folder: Path) -> Iterator[Path]:
    """Those that may be pointers: these have some 130 bytes."""
    for file in sorted((*folder.iterdir(), *folder.glob("[0-9]_*/*"))):
        if file.is_file() and file.stat().st_size < 1024:
            yield file


def _require_shards(files: ModelFiles, folder: Path) -> None:
    """That all files are there that an index of weights names, unless there are weights in one file too."""
    for index in INDICES:
        told = files.json(index, optional=True) or {}
        named = sorted(set((told.get("weight_map") or {}).values()))
        missing = [name for name in named if not (folder / name).is_file()]
        if missing and not (folder / index.removesuffix(".index.json")).is_file():
            raise ConfigError(
                f"model.name {files.name}: {index} names {len(named)} files, and {len(missing)} of them are not there "
                f"({missing[0]}). Download the model again."
            )
