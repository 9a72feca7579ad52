#!/usr/bin/env bash
# xinference-client 4.1.0: an API key that is given to Client is kept only if the server answers GET /v1/cluster/auth with
# {"auth": true}. A server that has no such path (a gateway, or another rerank service with the same API) answers 404, and the key
# is dropped without a word: each request then comes without Authorization.
#
# What the user sees is a refusal by the server, although a key was given.
#
# Output seen:
#   xinference-client 4.1.0: GET /v1/cluster/auth 404; GET /v1/models without Authorization
#   where that path says {"auth": true}: GET /v1/models with Authorization
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import contextlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from xinference_client import RESTfulClient as Client

asked = []
knows = sys.argv[1] == "knows"


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/v1/cluster/auth":
            status, body = (200, {"auth": True}) if knows else (404, {"detail": "Not Found"})
            asked.append(f"GET {self.path} {status}")
        else:
            status, body = 200, {"object": "list", "data": []}
            asked.append(f"GET {self.path} {'with' if self.headers['Authorization'] else 'without'} Authorization")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Client(f"http://127.0.0.1:{server.server_port}", api_key="a-key")
with contextlib.suppress(Exception):
    client.list_models()
if knows:
    print(f'where that path says {{"auth": true}}: {asked[-1]}')
else:
    print(f"xinference-client {version('xinference-client')}: {'; '.join(asked)}")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install xinference-client==4.1.0 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py" lacks 2>/dev/null; "$here/venv/bin/python" "$here/look.py" knows 2>/dev/null)
echo "$seen"
expected='xinference-client 4.1.0: GET /v1/cluster/auth 404; GET /v1/models without Authorization
where that path says {"auth": true}: GET /v1/models with Authorization'
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
