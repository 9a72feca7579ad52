#!/usr/bin/env bash
# sentence-transformers 6.2.0: a model that declares a prompt for its documents under the name "passage" (or "corpus")
# is given no prompt by encode_document, whose documentation says that it takes the first one of "document", "passage"
# and "corpus". Every loaded model has an empty prompt "document", which comes first.
#
# So documents are embedded without the words that the model was trained with, and no warning tells.
#
# Output seen:
#   sentence-transformers 6.2.0: declared query, passage; loaded document, passage, query
#   encode_document is encode(prompt_name="passage"): False; is encode without a prompt: True
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import sentence_transformers
import transformers
from sentence_transformers import SentenceTransformer

folder = Path(sys.argv[1])
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "passage", ":", "rain", "falls"]
(folder / "vocab.txt").write_text("\n".join(words))
transformers.set_seed(1)
shape = transformers.BertConfig(
    vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
)
transformers.BertModel(shape).save_pretrained(folder / "bert")
transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
SentenceTransformer(str(folder / "bert"), device="cpu").save(str(folder / "model"))
told = folder / "model" / "config_sentence_transformers.json"
config = json.loads(told.read_text())
config["prompts"] = {"query": "query: ", "passage": "passage: "}
told.write_text(json.dumps(config))

model = SentenceTransformer(str(folder / "model"), device="cpu")
document = model.encode_document("rain falls")
named = np.allclose(document, model.encode("rain falls", prompt_name="passage"))
bare = np.allclose(document, model.encode("rain falls"))
declared, loaded = ", ".join(config["prompts"]), ", ".join(sorted(model.prompts))
print(f"sentence-transformers {sentence_transformers.__version__}: declared {declared}; loaded {loaded}")
print(f'encode_document is encode(prompt_name="passage"): {named}; is encode without a prompt: {bare}')
PYTHON
mkdir "$here/work"
python3 -m venv "$here/venv"
pip() { "$here/venv/bin/pip" --quiet --disable-pip-version-check "$@" 2>/dev/null; }
# The CPU build is no file of every index.
pip install torch==2.13.0+cpu || pip install torch==2.13.0
pip install transformers==5.19.0 sentence-transformers==6.2.0
seen=$("$here/venv/bin/python" "$here/look.py" "$here/work" 2>/dev/null)
echo "$seen"
expected='sentence-transformers 6.2.0: declared query, passage; loaded document, passage, query
encode_document is encode(prompt_name="passage"): False; is encode without a prompt: True'
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
