#!/usr/bin/env bash
# Transformers 5.19.0: a folder whose tokenizer_config.json names BertTokenizer, and which holds no vocabulary, gives a
# tokenizer of five special tokens, and no error: every text becomes [UNK]s, so that texts of as many words
# are the same to the model.
#
# Such folders come of a download that left vocab.txt and tokenizer.json out.
#
# Output seen:
#   transformers 5.19.0: 5 tokens, 'a red fox' and 'two grey geese' are alike: True
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
mkdir "$here/model"
echo '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}' > "$here/model/tokenizer_config.json"
echo '{"model_type": "bert", "architectures": ["BertModel"]}' > "$here/model/config.json"
cat > "$here/look.py" <<'PYTHON'
import sys

import transformers

tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
texts = ("a red fox", "two grey geese")
first, second = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
told = f"{len(tokenizer)} tokens, {texts[0]!r} and {texts[1]!r} are alike: {first == second}"
print(f"transformers {transformers.__version__}: {told}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.19.0 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" "$here/model" 2>/dev/null)
echo "$seen"
expected="transformers 5.19.0: 5 tokens, 'a red fox' and 'two grey geese' are alike: True"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
