#!/usr/bin/env bash
# MLflow 3.17.2 and 3.16.1: the newer one migrates a database of the older one as soon as it is named as tracking URI, without
# being asked. From then on the older one refuses it, calls its schema "out-of-date", and advises `mlflow db upgrade`, which
# fails: the schema is newer than itself, not older.
#
# So one client that is upgraded first locks out all others that share the database, with advice that cannot help.
#
# Output seen:
#   3.16.1 makes a database: logged
#   3.17.2 uses it: logged
#   3.16.1 uses it again: Detected out-of-date database schema; advice: mlflow db upgrade
#   3.16.1 follows the advice: Can't locate revision
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/log.py" <<'PYTHON'
import sys

import mlflow

mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/tracking.db")
mlflow.set_experiment("one")
with mlflow.start_run():
    mlflow.log_metric("one", 1)
print("logged")
PYTHON
for version in 3.16.1 3.17.2; do
  python3 -m venv "$here/$version"
  "$here/$version/bin/pip" --quiet --disable-pip-version-check install \
    "mlflow-skinny==$version" alembic==1.20.1 sqlalchemy==2.1.9 2>/dev/null
done
told() { "$here/$1/bin/python" "$here/log.py" "$here" 2>&1 | grep -oE '^logged|Detected out-of-date database schema|mlflow db upgrade' \
  | sed 's/^mlflow/advice: mlflow/' | paste -sd';' | sed 's/;/; /g'; }
seen=$(
  echo "3.16.1 makes a database: $(told 3.16.1)"
  echo "3.17.2 uses it: $(told 3.17.2)"
  echo "3.16.1 uses it again: $(told 3.16.1)"
  echo "3.16.1 follows the advice: $("$here/3.16.1/bin/mlflow" db upgrade "sqlite:///$here/tracking.db" 2>&1 \
    | grep -oE "Can't locate revision" | tail -1)"
)
echo "$seen"
expected="3.16.1 makes a database: logged
3.17.2 uses it: logged
3.16.1 uses it again: Detected out-of-date database schema; advice: mlflow db upgrade
3.16.1 follows the advice: Can't locate revision"
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
