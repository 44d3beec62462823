"""What a worker process of `benchmarks/kernels_worker.py` does in its tests: a fresh process imports this."""

from __future__ import annotations

import json
import os
import time
from typing import Any


def echo(connection: Any, options: dict[str, Any]) -> None:
    """Say what was asked; "crash" ends the process with 7, "hang" does not answer."""
    while True:
        what = json.loads(connection.recv_bytes())["what"]
        if what == "crash":
            os._exit(7)
        if what == "hang":
            time.sleep(600)
        connection.send_bytes(json.dumps({"said": what, "pid": os.getpid(), **options}).encode())
