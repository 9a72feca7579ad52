#!/usr/bin/env bash
# datasets 5.2.0: a JSON Lines file in which a column holds text in some rows and numbers in others is loaded with the type
# Json, and that type gives text back as a number wherever it looks like one: "007" as 7, "1e5" as 100000.0, "-" as 0.
#
# One numeric id is enough: the ids of all rows change, and two different ones may become the same. No warning tells.
# The column itself still tells them apart: texts that look like numbers are stored as written but without quotes.
#
# Output seen:
#   datasets 5.2.0: written "007", 7, "1e5", "-", "d1"; type Json
#   read 7, 7, 100000.0, 0, 'd1'; stored '007', '7', '1e5', '-', '"d1"'
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import json
import sys

import datasets

folder = sys.argv[1]
ids = ["007", 7, "1e5", "-", "d1"]
with open(f"{folder}/rows.jsonl", "w") as file:
    file.writelines(json.dumps({"id": one}) + "\n" for one in ids)
loaded = datasets.load_dataset("json", data_files=f"{folder}/rows.jsonl", split="train", cache_dir=folder)
written = ", ".join(map(json.dumps, ids))
print(f"datasets {datasets.__version__}: written {written}; type {type(loaded.features['id']).__name__}")
stored = loaded.data.column("id").cast("string").to_pylist()
print(f"read {', '.join(map(repr, loaded['id']))}; stored {', '.join(map(repr, stored))}")
PYTHON
mkdir "$here/work"
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install datasets==5.2.0 pyarrow==25.0.1 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" "$here/work" 2>/dev/null)
echo "$seen"
expected='datasets 5.2.0: written "007", 7, "1e5", "-", "d1"; type Json
read 7, 7, 100000.0, 0, '"'d1'; stored '007', '7', '1e5', '-', '\"d1\"'"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
