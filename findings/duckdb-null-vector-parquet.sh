#!/usr/bin/env bash
# duckdb 2.0.1: a column of vectors (FLOAT[2]) in which one is NULL, written by COPY ... (FORMAT parquet), makes a file
# that pyarrow 26.0.1 refuses to read, and so do pandas and datasets, which read Parquet with it.
#
# DuckDB writes two values for the missing vector, where Parquet has one for a list that is NULL: of three vectors of
# two numbers, one of them missing, six entries instead of five. DuckDB reads the file as it was written. The same rows
# as FLOAT[], a list without a fixed size, are read by both.
# Whoever exports embeddings with DuckDB, some of which are not made yet, has no reader but DuckDB's for them.
#
# Output seen:
#   duckdb 2.0.1, pyarrow 26.0.1
#   FLOAT[2]: 6 entries; duckdb reads [[1.0, 2.0], None, [3.0, 4.0]]; pyarrow: ArrowInvalid: Length spanned by list offsets (5) larger than values array (length 4)
#   FLOAT[]: 5 entries; duckdb reads [[1.0, 2.0], None, [3.0, 4.0]]; pyarrow reads [[1.0, 2.0], None, [3.0, 4.0]]
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import sys

import duckdb
import pyarrow
import pyarrow.parquet as pq

print(f"duckdb {duckdb.__version__}, pyarrow {pyarrow.__version__}")
for kind in ("FLOAT[2]", "FLOAT[]"):
    file = f"{sys.argv[1]}/vectors.parquet"
    rows = f"(VALUES ([1.0, 2.0]::{kind}), (NULL), ([3.0, 4.0]::{kind})) t(vector)"
    duckdb.sql(f"COPY (SELECT * FROM {rows}) TO '{file}' (FORMAT parquet)")
    entries = pq.read_metadata(file).row_group(0).column(0).num_values
    own = [None if vector is None else list(vector) for (vector,) in duckdb.sql(f"FROM '{file}'").fetchall()]
    try:
        other = f"reads {pq.read_table(file).column('vector').to_pylist()}"
    except pyarrow.ArrowInvalid as error:
        other = f": {type(error).__name__}: {error}"
    print(f"{kind}: {entries} entries; duckdb reads {own}; pyarrow{other if other[0] == ':' else ' ' + other}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install duckdb==2.0.1 pyarrow==26.0.1 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" "$here")
echo "$seen"
expected='duckdb 2.0.1, pyarrow 26.0.1
FLOAT[2]: 6 entries; duckdb reads [[1.0, 2.0], None, [3.0, 4.0]]; pyarrow: ArrowInvalid: Length spanned by list offsets (5) larger than values array (length 4)
FLOAT[]: 5 entries; duckdb reads [[1.0, 2.0], None, [3.0, 4.0]]; pyarrow reads [[1.0, 2.0], None, [3.0, 4.0]]'
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
