#!/usr/bin/env bash
# ragas 0.4.3 cannot be imported with langchain-community 0.4.2, which `pip install ragas==0.4.3` takes.
#
# It asks for langchain-community in any version, and imports ChatVertexAI from a module that 0.4.2 has no more: for
# every user, whether of Vertex AI or not, so that even its readers of data sets cannot be used. pip finds no conflict.
#
# Output seen:
#   ragas 0.4.3, langchain-community 0.4.2; pip check: No broken requirements found.
#   import ragas: ModuleNotFoundError: No module named 'langchain_community.chat_models.vertexai'
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True).stdout.strip()
print(f"ragas {version('ragas')}, langchain-community {version('langchain-community')}; pip check: {checked}")
try:
    import ragas
except ImportError as error:
    print(f"import ragas: {type(error).__name__}: {error}")
else:
    print(f"import ragas: {ragas.__name__} is there")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install ragas==0.4.3 langchain-community==0.4.2 2>/dev/null
seen=$("$here/venv/bin/python" "$here/look.py")
echo "$seen"
expected="ragas 0.4.3, langchain-community 0.4.2; pip check: No broken requirements found.
import ragas: ModuleNotFoundError: No module named 'langchain_community.chat_models.vertexai'"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
