"""The Chinese texts say what the English ones say: the same parts, blocks, names and figures, in the same order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.base.config import RunConfig
from tests.shown_texts import DOCS, ROOT, ShownText

ENGLISH_ALONE = {"docs/config", "docs/corrections", "docs/models"}  # generated; made of tables of names
TEXTS = ["README", "HANDBOOK", *sorted({name.removesuffix(".md") for name in DOCS} - ENGLISH_ALONE)]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SETTING = re.compile(rf"\b(?:{'|'.join(RunConfig.model_fields)})\.(?!md|zh\.md)[a-z][a-z_.]*[a-z]")
# `p95` is a figure as well, `H100` and `bge-reranker-v2-m3` hold none.
FIGURE = re.compile(r"(?<![A-Za-oq-z\d.])(\d[\d,]*(?:\.\d+)?) ?(million|万|亿)?")
TIMES = {"": 1, "million": 1_000_000, "万": 10_000, "亿": 100_000_000}
PROGRAMS = {"rerank-eval", "make", "export", "serve", "ray", "hey", "vllm", "mlflow"}
HAN = "[\u4e00-\u9fff]"
HAN_MARK = "[，。：；、！？（）]"


@dataclass(frozen=True, slots=True)
class Part:
    """What stands under one heading; `blocks` are (language, content), `prose` is all the rest."""

    level: int
    title: str
    prose: str
    blocks: tuple[tuple[str, str], ...]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parts(text: str) -> list[Part]:
    blocks = [(found[1], found[2]) for found in BLOCK.finditer(text)]
    # A comment of a shell block would pass for a heading, so that blocks are set aside first.
    _, *found = HEADING.split(BLOCK.sub("<block>", text))
    made = []
    for marks, title, prose in zip(found[::3], found[1::3], found[2::3], strict=True):
        count = prose.count("<block>")
        made.append(Part(len(marks), title, prose, tuple(blocks[:count])))
        blocks = blocks[count:]
    return made


@pytest.fixture(scope="module", params=TEXTS)
def sides(request: pytest.FixtureRequest) -> list[tuple[Part, Part]]:
    """Each part in English and in Chinese."""
    return list(zip(parts(read(f"{request.param}.md")), parts(read(f"{request.param}.zh.md")), strict=True))


def commands(block: str) -> list[str] | None:
    """The lines of a block that a shell runs, without their comments; None for a drawing or a formula."""
    lines = [re.sub(r"(^|\s+)# .*", "", line) for line in block.splitlines()]
    first = lines[0].removeprefix("$ ").split()[0]
    return lines if Path(first).name in PROGRAMS else None


def names(part: Part) -> set[str]:
    whole = " ".join([part.prose, *(content for _, content in part.blocks)])
    spans = {" ".join(span.split()) for span in SPAN.findall(part.prose)}
    return spans | set(OPTION.findall(whole)) | set(SETTING.findall(whole))


def figures(text: str) -> list[float]:
    """The numbers in a text in ascending order, but for those in names and links."""
    plain = LINK.sub("]", SPAN.sub(" ", text))
    return sorted(float(number.replace(",", "")) * TIMES[unit] for number, unit in FIGURE.findall(plain))


def drawn(part: Part) -> str:
    return "\n".join(content for language, content in part.blocks if not language and commands(content) is None)


def tables(part: Part) -> list[int]:
    """The number of cells of each row."""
    return [SPAN.sub("", line).count("|") - 1 for line in part.prose.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("text", TEXTS)
def test_both_have_the_same_headings(text: str) -> None:
    """By their level and, of a chapter, its number: what else they say is in the other language."""
    english, chinese = (
        [(part.level, re.findall(r"^\d+\.", part.title)) for part in parts(read(f"{text}{ending}"))]
        for ending in (".md", ".zh.md")
    )
    assert chinese == english != []


def test_what_is_run_or_loaded_is_the_same_in_both(sides: list[tuple[Part, Part]]) -> None:
    for english, chinese in sides:
        assert [language for language, _ in chinese.blocks] == [language for language, _ in english.blocks]
        for (language, theirs), (_, ours) in zip(english.blocks, chinese.blocks, strict=True):
            if language:
                assert ours == theirs
            elif commands(theirs) is None:
                assert figures(ours) == figures(theirs)
            else:
                assert commands(ours) == commands(theirs)


def test_every_name_of_an_english_part_stands_in_the_chinese_one(sides: list[tuple[Part, Part]]) -> None:
    for english, chinese in sides:
        whole = " ".join([" ".join(chinese.prose.split()), *(content for _, content in chinese.blocks)])
        assert sorted(name for name in names(english) if name not in whole) == [], chinese.title


def test_no_option_or_setting_stands_in_the_chinese_text_alone(sides: list[tuple[Part, Part]]) -> None:
    whole = " ".join(name for english, _ in sides for name in names(english))
    named = {name for _, chinese in sides for name in names(chinese) if OPTION.match(name) or SETTING.match(name)}
    # `--lang zh` has no place in the English text.
    assert sorted(name for name in named - {"--lang"} if name not in whole) == []


def test_both_have_the_same_figures(sides: list[tuple[Part, Part]]) -> None:
    for english, chinese in sides:
        ours, theirs = (set(figures(f"{part.prose}\n{drawn(part)}")) for part in (chinese, english))
        assert ours == theirs, chinese.title


def test_tables_have_the_same_shape(sides: list[tuple[Part, Part]]) -> None:
    for english, chinese in sides:
        assert tables(chinese) == tables(english), chinese.title


@pytest.mark.parametrize("text", TEXTS)
def test_links_lead_to_the_same_places_in_the_readers_language(text: str) -> None:
    english, chinese = LINK.findall(read(f"{text}.md")), LINK.findall(read(f"{text}.zh.md"))
    assert len(english) > 1
    for link in ShownText(f"{text}.zh.md").links():
        assert link.target.exists(), link
        assert not link.anchor or link.anchor in ShownText(str(link.target.relative_to(ROOT))).anchors(), link
    outside = {link.partition("#")[0] for link in chinese}
    for link in filter(None, {link.partition("#")[0] for link in english}):
        assert {link, link.replace(".md", ".zh.md"), link.replace(".zh.md", ".md")} & outside, link


@pytest.mark.parametrize("text", TEXTS)
def test_the_typesetting_is_chinese(text: str) -> None:
    """Spaces between Chinese and Latin, Chinese marks in Chinese sentences, and a paragraph on a single line:
    a browser shows a line's end as a space.
    """
    prose = "\n".join(part.title + part.prose for part in parts(read(f"{text}.zh.md")))
    plain = re.sub(r" *\| *", "|", LINK.sub("]", SPAN.sub("`x`", prose)).replace("**", ""))
    tight, marks = rf"{HAN}[A-Za-z0-9`]|[A-Za-z0-9`%]{HAN}", rf"{HAN}[,;:!?()]|[,;:!?()]{HAN}|{HAN_MARK} | {HAN_MARK}"
    for pattern in (tight, marks, rf"{HAN} {HAN}"):
        assert re.findall(rf".{{0,9}}(?:{pattern}).{{0,9}}", plain) == []
    broken = [pair for pair in pairwise(plain.splitlines()) if all(re.match(HAN, line) for line in pair)]
    assert broken == []


def test_the_readmes_link_to_each_other_before_anything_else() -> None:
    for name, link in {"README.md": "[中文](README.zh.md)", "README.zh.md": "[English](README.md)"}.items():
        assert read(name).splitlines()[:3] == ["# rerank-eval", "", link]


@pytest.mark.parametrize("text", [text for text in TEXTS if text.startswith("docs/")])
def test_each_page_links_to_the_other_language_and_to_the_readme_before_anything_else(text: str) -> None:
    name = text.removeprefix("docs/")
    assert read(f"{text}.md").splitlines()[2] == f"[中文]({name}.zh.md) · [README](../README.md)"
    assert read(f"{text}.zh.md").splitlines()[2] == f"[English]({name}.md) · [README](../README.zh.md)"


def test_there_is_no_chinese_text_without_an_english_one() -> None:
    found = {str(path.relative_to(ROOT)) for folder in (ROOT, ROOT / "docs") for path in folder.glob("*.zh.md")}
    assert found == {f"{text}.zh.md" for text in TEXTS}
