#!/usr/bin/env bash
# bm25s 0.3.16: `tokenize`, with its defaults, takes a Chinese sentence for one word, so that a question never meets the document
# that answers it, and the Thai word for land is no word at all. Nothing tells: `retrieve` still gives k documents.
#
# Its pattern is (?u)\b\w\w+\b: between characters of a script without blanks there is no border of a word, and combining marks
# are no part of \w, so that single letters are left between them, which the pattern passes over.
#
# Output seen:
#   bm25s 0.3.16: 机器学习的定义 ['机器学习的定义']; shared with 机器学习: []
#   ภาษาไทย ['ภาษาไทย']; ที่ดิน []
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import bm25s


def words(text: str) -> list[str]:
    return list(bm25s.tokenize([text], show_progress=False).vocab)


document = "机器学习的定义"
shared = sorted(set(words(document)) & set(words("机器学习")))
print(f"bm25s {bm25s.__version__}: {document} {words(document)}; shared with 机器学习: {shared}")
print(f"ภาษาไทย {words('ภาษาไทย')}; ที่ดิน {words('ที่ดิน')}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install bm25s==0.3.16 numpy==2.3.5 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" 2>/dev/null)
echo "$seen"
expected="bm25s 0.3.16: 机器学习的定义 ['机器学习的定义']; shared with 机器学习: []
ภาษาไทย ['ภาษาไทย']; ที่ดิน []"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
