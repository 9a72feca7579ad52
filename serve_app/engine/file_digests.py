"""SHA-256 of the files that a model is loaded from, whole, and computed once: digests are kept in the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# What vLLM and Transformers load, by its ending: weights, configs, tokenizers, templates, code. Left out are pictures,
# texts for people, and the weights of other frameworks (.h5, .msgpack, .onnx, .gguf beside a folder's own).
SUFFIXES = frozenset(
    {
        *(".safetensors", ".bin", ".pt", ".pth", ".gguf"),
        *(".json", ".jinja", ".txt", ".model", ".spm", ".vocab", ".tiktoken", ".py"),
    }
)
# What a trainer leaves beside a model, and what only tells of it.
NOT_LOADED = frozenset(
    {
        *("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin", "scaler.pt"),
        *("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json", "data_config.json"),
        *("requirements.txt", "LICENSE.txt", "NOTICE.txt", "README.txt"),
    }
)
# Folders of a model that are loaded besides those that modules.json names.
FOLDERS = ("1_Pooling", "additional_chat_templates")
MODULES = "modules.json"
# A file that was changed so lately may change again without its time telling: file systems count in steps.
SETTLED_S = 2.0
THREADS = 4


def files_digest(folder: Path) -> str:
    """64 hex digits that differ where the name or a byte of any file differs that loading the model reads.

    Raises OSError where a file cannot be read.
    """
    files = list(model_files(folder))
    digest = hashlib.sha256()
    for file, content in zip(files, digests(files), strict=True):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def model_files(folder: Path) -> Iterator[Path]:
    """The files of a model's folder that are read when it is loaded, in the order of their names."""
    for place in sorted({folder, *(folder / name for name in (*FOLDERS, *_module_folders(folder)))}):
        # A module may lie in folders of its own; beside the model there are checkpoints, logs, exports to elsewhere.
        inside = place.iterdir() if place == folder else place.rglob("*")
        for file in sorted(inside) if place.is_dir() else ():
            if file.suffix in SUFFIXES and file.name not in NOT_LOADED and file.is_file():
                yield file


def digests(files: Sequence[Path]) -> list[str]:
    """SHA-256 of each file's content, in hex, from the cache where the file is as it was."""
    known = _read_cache()
    states = {str(file.resolve()): _state(file) for file in files}
    missing = [path for path, state in states.items() if path not in known or known[path]["state"] != state]
    with ThreadPoolExecutor(THREADS) as threads:
        fresh = dict(zip(missing, threads.map(_sha256, missing), strict=True))
    found = {path: fresh.get(path) or known[path]["sha256"] for path in states}
    settled = {path for path in fresh if Path(path).stat().st_mtime < time.time() - SETTLED_S}
    if settled:
        _write_cache({path: {"state": states[path], "sha256": fresh[path]} for path in settled})
    return [found[str(file.resolve())] for file in files]


def _module_folders(folder: Path) -> list[str]:
    """The folders that a sentence-transformers model keeps its modules in: pooling, dense layers."""
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        named = [str(module["path"]) for module in modules if module.get("path")]
    except (OSError, ValueError, TypeError, AttributeError):
        return []
    return [name for name in named if (folder / name).resolve().is_relative_to(folder.resolve())]


def _sha256(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _state(file: Path) -> list[int]:
    """Size in bytes, and when content and entry were last changed (ns): not even a copied time goes unseen."""
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def cache_file() -> Path:
    """Where digests are kept: in $XDG_CACHE_HOME or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "rerank-eval" / "file-digests.json"


def _read_cache() -> dict[str, Any]:
    """Empty where there is none that can be read: then the files are read again."""
    try:
        known = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    entries = known.items() if isinstance(known, dict) else ()
    return {path: one for path, one in entries if isinstance(one, dict) and {"state", "sha256"} <= one.keys()}


def _write_cache(added: Mapping[str, Any]) -> None:
    """Add digests, and forget files that are gone. Where it cannot be written, the next job reads the files again."""
    with contextlib.suppress(OSError, RuntimeError):
        path = cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: one for name, one in _read_cache().items() if Path(name).exists()}
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(kept | dict(added), file)
        Path(file.name).replace(path)
