#!/usr/bin/env bash
# bm25s 0.3.16: `retrieve` with k documents a query always gives k. Where fewer match, the rest are documents of score 0, from the
# end of the corpus; a query of which no word is in the corpus gets k of them.
#
# Written to a run as they come, they are candidates that the first stage never found: recall@k rises with the luck of the
# corpus' order, and a reranker that puts one first is told to have rescued it.
#
# Output seen:
#   bm25s 0.3.16: apple [0, 3, 2], above 0: 1
#   zebra [3, 2, 1], above 0: 0
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import bm25s

corpus = ["red apple pie", "green grass grows", "blue sky above", "cold winter night"]
index = bm25s.BM25()
index.index(bm25s.tokenize(corpus, show_progress=False), show_progress=False)
for query in "apple", "zebra":
    documents, scores = index.retrieve(bm25s.tokenize([query], show_progress=False), k=3, show_progress=False)
    head = f"bm25s {bm25s.__version__}: " if query == "apple" else ""
    print(f"{head}{query} {documents[0].tolist()}, above 0: {int((scores[0] > 0).sum())}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install bm25s==0.3.16 numpy==2.3.5 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" 2>/dev/null)
echo "$seen"
expected='bm25s 0.3.16: apple [0, 3, 2], above 0: 1
zebra [3, 2, 1], above 0: 0'
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
