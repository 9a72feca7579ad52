"""Every byte of every file that loading a model reads is in its digest; a second look costs no reading."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from serve_app.engine import file_digests
from serve_app.engine.file_digests import cache_file, digests, files_digest, model_files

FILES = {
    "config.json": "{}",
    "model.safetensors": "weights",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "special_tokens_map.json": "{}",
    "vocab.txt": "a\nb",
    "merges.txt": "a b",
    "sentencepiece.bpe.model": "pieces",
    "chat_template.jinja": "{{ messages }}",
    "adapter_config.json": "{}",
    "adapter_model.safetensors": "adapter",
    "modeling_own.py": "pass",
    "sentence_bert_config.json": "{}",
    "modules.json": '[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": "../elsewhere"}]',
    "1_Pooling/config.json": "{}",
    "2_Dense/config.json": "{}",
    "2_Dense/model.safetensors": "dense",
}
BESIDE = ("README.md", "training_args.bin", "run.yaml", "onnx/model.bin", "checkpoint-500/model.safetensors")


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def age(folder: Path) -> None:
    """Make the files look as if they had been there for a while."""
    then = time.time() - 60
    for file in folder.rglob("*"):
        os.utime(file, (then, then))


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", FILES)
def test_each_file_that_is_loaded_changes_the_digest_and_so_does_its_absence(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "model", FILES)
    before = files_digest(folder)
    (folder / name).write_text((folder / name).read_text() + " ", encoding="utf-8")
    changed = files_digest(folder)
    (folder / name).unlink()
    assert len({before, changed, files_digest(folder)}) == 3


@pytest.mark.parametrize("name", BESIDE)
def test_what_only_lies_beside_the_model_does_not(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "model", FILES)
    before = files_digest(folder)
    write(folder, {name: "x"})
    assert files_digest(folder) == before


def test_a_copy_elsewhere_has_the_same_digest_and_a_renamed_file_another(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", FILES), write(tmp_path / "b", FILES)
    assert files_digest(first) == files_digest(second)
    (second / "vocab.txt").rename(second / "vocabulary.txt")
    assert files_digest(first) != files_digest(second)


@pytest.mark.parametrize("place", [0, 70_000, 3_333_333, (20 << 20) - 1])
def test_one_byte_anywhere_in_large_weights_changes_the_digest(tmp_path: Path, place: int) -> None:
    """0.1.0 read 64 samples of 64 KiB: what changed between them went unseen."""
    folder = write(tmp_path / "model", {"config.json": "{}"})
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(20 << 20))
    before = files_digest(folder)
    with weights.open("r+b") as file:
        file.seek(place)
        file.write(b"\1")
    assert files_digest(folder) != before


def test_a_module_outside_the_folder_is_none_of_the_models(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"config.json": "{}"})
    folder = write(tmp_path / "model", FILES)
    assert {file.relative_to(folder).as_posix() for file in model_files(folder)} == FILES.keys()


def test_what_was_read_once_is_not_read_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model", FILES)
    age(folder)
    before, read = files_digest(folder), list[str]()
    real = file_digests._sha256
    monkeypatch.setattr(file_digests, "_sha256", lambda path: read.append(path) or real(path))
    assert files_digest(folder) == before
    assert read == []
    # The same size, and the time of before copied over: the entry's own time tells.
    write(folder, {"vocab.txt": "b\na"})
    age(folder)
    assert files_digest(folder) != before
    assert str(folder / "vocab.txt") in read


def test_a_file_of_just_now_is_read_again_as_its_time_may_not_tell(tmp_path: Path) -> None:
    files_digest(write(tmp_path / "model", FILES))
    assert not cache_file().exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "\x00"])
def test_a_cache_that_is_broken_costs_time_alone(tmp_path: Path, content: str) -> None:
    folder = write(tmp_path / "model", FILES)
    expected = files_digest(folder)
    age(folder)
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text(content)
    assert files_digest(folder) == expected
    assert len(json.loads(cache_file().read_text())) >= len(FILES)


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model", FILES)
    age(folder)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(files_digest(folder)) == 64


def test_the_cache_forgets_files_that_are_gone(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path / name, {"config.json": "{}"})
        age(tmp_path / name)
    digests([tmp_path / "first" / "config.json"])
    (tmp_path / "first" / "config.json").unlink()
    digests([tmp_path / "second" / "config.json"])
    assert list(json.loads(cache_file().read_text())) == [str(tmp_path / "second" / "config.json")]
