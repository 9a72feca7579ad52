#!/usr/bin/env bash
# pytest-xdist 3.8.0 under pytest 9.2.0: `--dist loadgroup` keeps no group together, and says nothing.
#
# Documented: tests with the same `xdist_group` run in the same worker. Seen: twelve tests of one group are spread over
# both workers. A worker writes the group into `item._nodeid`, for the controller to read; in pytest 9.2 `item.nodeid` is
# made from another attribute, so the controller is never told. Under pytest 8.4.2 they stay in one.
# Whoever relies on a group to keep tests apart that must not run at once (a port, a GPU) has them run at once.
#
# Output seen:
#   pytest 8.4.2, pytest-xdist 3.8.0: 12 tests of one group in 1 worker(s)
#   pytest 9.2.0, pytest-xdist 3.8.0: 12 tests of one group in 2 worker(s)
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/test_group.py" <<'PYTHON'
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(12))
def test_it(number):
    time.sleep(0.2)
PYTHON
status=0
for pair in "8.4.2 1" "9.2.0 2"; do
  read -r version expected <<< "$pair"
  python3 -m venv "$here/$version"
  "$here/$version/bin/pip" install --quiet --disable-pip-version-check "pytest==$version" pytest-xdist==3.8.0 2>/dev/null
  output=$(cd "$here" && "$version/bin/python" -m pytest -p no:cacheprovider -n 2 --dist loadgroup -v test_group.py)
  workers=$(grep -o '^\[gw[01]\]' <<< "$output" | sort -u | wc -l)
  echo "pytest $version, pytest-xdist 3.8.0: 12 tests of one group in $workers worker(s)"
  [ "$workers" = "$expected" ] || { echo "changed: expected $expected"; status=1; }
done
exit $status
