"""The chat template that a sentence-transformers CrossEncoder writes its prompts with -> a prompt with places.

It is rendered as the library does, a message each for query, document and, as the system's, instruction; what it does
to texts is found out by giving it some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from serve_app.recipes.files import ModelFiles
from stages.core.errors import ConfigError, first_line

BERT, SETTINGS, TOKENIZER = "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
# What the library's Transformer module may say of a causal model and its chat; None: anything.
KNOWN: dict[str, tuple[Any, ...] | None] = {
    "transformer_task": ("text-generation",),
    "module_output_name": ("causal_logits",),
    "do_lower_case": (False,),
    "modality_config": None,
    "processing_kwargs": None,
    "max_seq_length": None,
    "unpad_inputs": None,
}
# Texts that a template might change: blanks at both ends, characters that HTML and JSON escape, a very long one.
PROBES = ("<a> & 'b' \"c\" \\ {{ d }} é 文\n\ne", "word " * 20_000 + "end")


class Form(NamedTuple):
    """As DecoderRecipe has it: `instructed` only where it differs, `instruction` the default one."""

    prompt: str
    instructed: str | None
    instruction: str | None
    strip: bool
    max_length: int | None


class Chat:
    """A model's template, with what it is rendered with."""

    def __init__(self, files: ModelFiles) -> None:
        self.files = files
        told = _transformer(files)
        processing = told.get("processing_kwargs") or {}
        given = dict(processing.get("chat_template") or {})
        self.max_length = (processing.get("text") or {}).get("max_length") or told.get("max_seq_length")
        given.pop("restore_suffix", None)  # whether what is cut off behind a long document is put back: it always is
        self.file, self.template = _template(files, given.pop("chat_template", None))
        self.given = _special_tokens(files) | given

    def render(self, query: str, document: str, instruction: str | None = None) -> str:
        """Raises ConfigError where the template cannot be rendered with these messages."""
        from transformers.utils.chat_template_utils import render_jinja_template  # takes a second to import

        messages = [{"role": "query", "content": query}, {"role": "document", "content": document}]
        if instruction is not None:
            messages.insert(0, {"role": "system", "content": instruction})
        try:
            rendered, _ = render_jinja_template([messages], chat_template=self.template, **self.given)
        except Exception as error:  # whatever a template raises
            raise self.refusal(f"cannot be rendered for a query and a document ({first_line(error)})") from error
        return str(rendered[0])

    def refusal(self, why: str) -> ConfigError:
        return ConfigError(f"model.name {self.files.name}: {self.file} {why}. Write the prompt in model.recipe")


def read_form(files: ModelFiles) -> Form:
    """Raises ConfigError for a template that changes texts, or has none of them, or more than once."""
    chat = Chat(files)
    plain, with_task = _placed(chat, None), _placed(chat, "instruction")
    strip = _strips(chat)
    default = _default_prompt(files)
    if "{instruction}" not in with_task:
        if default:
            raise chat.refusal(f"leaves out the instruction that {SETTINGS} names in default_prompt_name")
        return Form(plain, None, None, strip, chat.max_length)
    before, _, after = with_task.partition("{instruction}")
    inside = plain[len(before) : len(plain) - len(after)]
    if plain == f"{before}{inside}{after}" and len(plain) >= len(before) + len(after) and (default or inside):
        return Form(with_task, None, default or inside, strip, chat.max_length)
    return Form(plain, with_task, default, strip, chat.max_length)


def _placed(chat: Chat, instruction: str | None) -> str:
    """What is rendered of texts that stand for all others, which become places."""
    marks = {name: f"9{name}47" for name in ("query", "document", *([instruction] if instruction else ()))}
    text = chat.render(*marks.values())
    for name, mark in marks.items():
        found = text.count(mark)
        if found > 1 or (found == 0 and name != "instruction"):
            raise chat.refusal(f"writes the {name} {found} times, and has to write it once")
        text = text.replace(mark, f"{{{name}}}")
    return text


def _strips(chat: Chat) -> bool:
    """Whether texts lose the blanks at both ends. Raises ConfigError where they are changed otherwise."""
    for probe in PROBES:
        text = chat.render(f"0{probe}1", f"2{probe}3", f"4{probe}5")
        for name, mark in (("a query", f"0{probe}1"), ("a document", f"2{probe}3")):
            if mark not in text:
                raise chat.refusal(f"changes the text of {name}")
    blank = chat.render(" \n9query47\n ", " \n9document47\n ")
    kept = [f" \n9{name}47\n " in blank for name in ("query", "document")]
    if kept[0] != kept[1]:
        raise chat.refusal("strips the blanks at the ends of one of query and document alone")
    return not kept[0]


def _transformer(files: ModelFiles) -> Mapping[str, Any]:
    told: Mapping[str, Any] = files.json(BERT, optional=True) or {}
    for key, value in told.items():
        known = KNOWN.get(key, ())
        if known is not None and value not in known:
            raise ConfigError(f"model.name {files.name}: {BERT}: {key} {value} is not known here. Set model.recipe")
    if ((told.get("modality_config") or {}).get("message") or {}).get("format") != "flat":
        raise ConfigError(
            f"model.name {files.name}: {BERT}: modality_config has no message of the format flat, so that no chat "
            "template tells its prompt. Write it in model.recipe"
        )
    return told


def _template(files: ModelFiles, name: str | None) -> tuple[str, str]:
    """The file that it is in, and its text: of this name, or the default one."""
    if name is not None and "{" in name:
        return BERT, name  # the template itself
    file = TEMPLATE if name in (None, "default") else f"additional_chat_templates/{name}.jinja"
    text = files.text(file)
    if text is not None:
        return file, text
    told = (files.json(TOKENIZER, optional=True) or {}).get("chat_template")
    if isinstance(told, list):
        told = {one["name"]: one["template"] for one in told}.get(name or "default")
    if not isinstance(told, str) or (name not in (None, "default") and not told):
        raise ConfigError(
            f"model.name {files.name}: 1_LogitScore without a chat template: {file} is missing. Write the prompt in "
            "model.recipe"
        )
    return TOKENIZER, told


def _special_tokens(files: ModelFiles) -> dict[str, Any]:
    """Those that a template may name, such as bos_token."""
    told = files.json(TOKENIZER, optional=True) or {}
    named = {key: value.get("content") if isinstance(value, dict) else value for key, value in told.items()}
    return {key: value for key, value in named.items() if key.endswith("_token") and isinstance(value, str)}


def _default_prompt(files: ModelFiles) -> str | None:
    told = files.json(SETTINGS, optional=True) or {}
    name = told.get("default_prompt_name")
    return None if name is None else str((told.get("prompts") or {}).get(name) or "") or None
