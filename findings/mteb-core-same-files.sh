#!/usr/bin/env bash
# mteb 2.26.24 and mteb-core 2.26.24 are two distributions of the same 3,863 files, and pip takes them side by side.
#
# Where one thing needs mteb and another mteb-core, each file is that of whichever was installed last. Where mteb-core is
# removed, with what needed it, the package is gone; mteb is still told to be installed, and asking for it again changes
# nothing.
#
# Output seen:
#   files that both have: 3863
#   after pip uninstall mteb-core and pip install mteb: version of mteb 2.26.24, package found: False
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
python="$here/venv/bin/python"
install() { "$python" -m pip --quiet --disable-pip-version-check install --no-compile --no-deps "$@" 2>/dev/null; }
install mteb==2.26.24 mteb-core==2.26.24
seen=$("$python" - <<'PYTHON'
from importlib.metadata import files

both = {str(file) for file in files("mteb")} & {str(file) for file in files("mteb-core")}
print("files that both have:", len([name for name in both if name.startswith("mteb/")]))
PYTHON
)
"$python" -m pip --quiet --disable-pip-version-check uninstall --yes mteb-core 2>/dev/null
install mteb==2.26.24
seen+=$'\n'$("$python" - <<'PYTHON'
from importlib.metadata import version
from importlib.util import find_spec

print(f"after pip uninstall mteb-core and pip install mteb: version of mteb {version('mteb')},", end=" ")
print("package found:", find_spec("mteb") is not None)
PYTHON
)
echo "$seen"
expected="files that both have: 3863
after pip uninstall mteb-core and pip install mteb: version of mteb 2.26.24, package found: False"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
