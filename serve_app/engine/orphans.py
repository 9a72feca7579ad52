"""No engine outlives its replica: a killed replica would leave vLLM's processes behind, computing for nobody."""

from __future__ import annotations

import os
import subprocess

# Reads until the other end of the pipe is gone, which is when the replica is, however it died.
GUARD = 'cat > /dev/null; kill -KILL "-$0" 2> /dev/null'


def die_together() -> subprocess.Popen[bytes]:
    """Make this process the leader of a group, and have a guard kill the group's rest when this process is gone.

    Call it before starting children; those started later belong to the group. Keep the result alive as long as the
    process: closing its stdin is what sets the guard off.
    """
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    command = ["/bin/sh", "-c", GUARD, str(os.getpid())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
