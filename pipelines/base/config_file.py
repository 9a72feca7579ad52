"""What `--config` says: a file; or, by its bare name, a config that came with the packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipelines.base.bundled import CONFIGS, bundled, bundled_configs


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`given` is what the user wrote, `path` the file that it means, which need not exist."""

    given: Path
    path: Path
    bundled: bool = False

    @classmethod
    def find(cls, given: Path) -> Self:
        """A file that is there goes before a bundled config of the same name; a folder is no config."""
        known = bundled_configs().get(str(given)) if _is_name(given) else None
        if known is None or (given.exists() and not given.is_dir()):
            return cls(given, given)
        return cls(given, known, bundled=True)

    @property
    def name(self) -> str:
        """What is named after the config is named so."""
        return str(self.given) if self.bundled else self.path.stem

    @property
    def remedy(self) -> str:
        """What to give where this cannot be read."""
        names = ", ".join(bundled_configs()) if _is_name(self.given) else ""
        return f"Give an existing YAML file{names and f', or the name of a bundled config: {names}'}."

    def sibling(self, ending: str) -> Path:
        """Where a config that is made from this one goes: NAME.ending beside it; of a bundled one, in the current
        folder.
        """
        made = f"{self.name}.{ending}"
        return Path(made) if self.bundled else self.path.with_name(made)

    def placed(self, data: Any) -> Any:
        """The `data` section of a bundled config, which works in any folder: what is below configs/ came along too.

        That of any other config stays as it is: its relative paths start in the current folder.
        """
        return _placed(data) if self.bundled else data


def _is_name(given: Path) -> bool:
    return given.name == str(given)


def _placed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placed(one) for key, one in value.items()}
    return str(bundled(value)) if isinstance(value, str) and value.startswith(f"{CONFIGS}/") else value
