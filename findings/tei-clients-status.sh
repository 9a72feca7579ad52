#!/usr/bin/env bash
# llama-index-postprocessor-tei-rerank 0.6.0 and rerankers 0.10.0, clients of text-embeddings-inference's /rerank:
# neither looks at the HTTP status of an answer, and LlamaIndex' `truncate_text` is sent nowhere.
#
# Documented: `truncate_text` (default True) is "whether to truncate text or not". Seen: the request is the same with
# True and False, and has only query and texts; what is too long for the model is then the server's default to decide.
# A server that is overloaded answers 429 with {"error": ..., "error_type": ...}, whose message nobody gets to see:
# LlamaIndex compares the number of keys in it (2) with that of the texts, so that it fails in another way for two texts
# than for three; rerankers takes its keys for results.
#
# Output seen:
#   truncate_text True sends query, texts; False sends query, texts
#   HTTP 429, llama-index, 2 texts: TypeError('string indices must be integers')
#   HTTP 429, llama-index, 3 texts: AssertionError()
#   HTTP 429, rerankers, 3 texts: TypeError('string indices must be integers')
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from rerankers import Reranker

OVERLOADED = 429, {"error": "Model is overloaded", "error_type": "overloaded"}
asked, answers = [], []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, content = answers[0]
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def llama(texts, **more):
    nodes = [NodeWithScore(node=TextNode(text=f"text {place}"), score=0.0) for place in range(texts)]
    return TextEmbeddingInference(base_url=url, **more).postprocess_nodes(nodes, query_str="query")


def other(texts):
    ranker = Reranker(
        "model", model_type="text-embeddings-inference", api_provider="text-embeddings-inference",
        api_key="none", url=f"{url}/rerank", verbose=0,
    )
    return ranker.rank("query", [f"text {place}" for place in range(texts)])


answers[:] = [(200, [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}])]
for truncate in (True, False):
    llama(2, truncate_text=truncate)
sent = [", ".join(sorted(body)) for body in asked]
print(f"truncate_text True sends {sent[0]}; False sends {sent[1]}")
answers[:] = [OVERLOADED]
for name, client, texts in (("llama-index", llama, 2), ("llama-index", llama, 3), ("rerankers", other, 3)):
    try:
        told = client(texts)
    except Exception as error:
        told = f"{type(error).__name__}({str(error).partition(', not')[0]!r})".replace("('')", "()")
    print(f"HTTP 429, {name}, {texts} texts: {told}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install llama-index-postprocessor-tei-rerank==0.6.0 \
  llama-index-core==0.14.25 "rerankers[api]==0.10.0" 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" 2>/dev/null | grep -v '^Auto-updated')
echo "$seen"
expected="truncate_text True sends query, texts; False sends query, texts
HTTP 429, llama-index, 2 texts: TypeError('string indices must be integers')
HTTP 429, llama-index, 3 texts: AssertionError()
HTTP 429, rerankers, 3 texts: TypeError('string indices must be integers')"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
