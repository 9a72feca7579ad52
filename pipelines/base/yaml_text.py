"""YAML as the product reads it: what is no YAML, or gives a key twice, is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stages.core.errors import ConfigError

# A password may begin with the sign of one.
_NAMED = re.compile(r"\b(alias|anchor|tag|tag handle) ['\"].*['\"]")
MERGE = "tag:yaml.org,2002:merge"  # of the key `<<`, which takes over what another mapping holds


def read_yaml(path: Path, what: str, remedy: str = "Give an existing YAML file.") -> Any:
    """The content of a YAML file. Raises ConfigError, which calls it `what`, where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{what} {path}: cannot be read ({error.strerror}). {remedy}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path}: not YAML: {error}") from error
    return parse_yaml(text, f"{what} {path}")


def parse_yaml(text: str, place: str) -> Any:
    """The one document in `text`, by YAML's safe types; None where there is none.

    Raises ConfigError, which begins with `place`, for what is no YAML and for a key that stands twice in a mapping:
    PyYAML's own reader takes the last one without a word. It quotes nothing but keys: a line may hold a secret.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for mapping, path in _mappings(node):
            _refuse_repeated(mapping, path, loader, place)
        return loader.construct_document(node)
    except RecursionError as error:
        raise ConfigError(f"{place}: not YAML that can be read: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that there is not, such as 2024-13-45
        raise ConfigError(f"{place}: not YAML: {_fault(error)}") from None  # whose message quotes the line
    finally:
        loader.dispose()


def _mappings(root: Node) -> Iterator[tuple[MappingNode, str]]:
    """Each mapping with its place (`serve.http`), from the outside in; what is anchored comes once."""
    waiting, seen = [(root, "")], set[int]()
    for node, path in waiting:
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            yield node, path
            waiting += [(value, _below(path, key)) for key, value in node.value]
        elif isinstance(node, SequenceNode):
            waiting += [(item, f"{path}[{number}]") for number, item in enumerate(node.value)]


def _refuse_repeated(mapping: MappingNode, path: str, loader: yaml.SafeLoader, place: str) -> None:
    """Raises ConfigError where two keys of the mapping are one in Python, such as 1 and 1.0."""
    lines: dict[Any, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, ScalarNode):
            continue
        name, line = key.value if key.tag == MERGE else loader.construct_object(key), key.start_mark.line + 1
        if name in lines:
            where = f"in lines {lines[name]} and {line}" if lines[name] != line else f"in line {line}"
            raise ConfigError(f"{place}: {_below(path, key)} is given twice, {where}: keep one of them")
        lines[name] = line


def _below(path: str, key: Node) -> str:
    name = str(key.value) if isinstance(key, ScalarNode) else "?"
    return f"{path}.{name}" if path else name


def _fault(error: Exception) -> str:
    """What is wrong and where, without the text itself."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    said = _NAMED.sub(r"\1", ", ".join(part for part in (error.context, error.problem) if part))
    mark = error.problem_mark or error.context_mark
    return f"{said}, in line {mark.line + 1}, column {mark.column + 1}" if mark else said
