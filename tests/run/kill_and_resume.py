"""Works on a run folder in child processes that are killed at random writes, until one comes to its end.

    python kill_and_resume.py RUN_FOLDER SEED MOST_WRITES

A child is killed when it is about to flush its n-th file to the disk, n drawn from 1 to MOST_WRITES, or a little later,
in the middle of whatever comes next. Prints how many were killed.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import torch

from falconet.run import pipeline


def kill_at_write(number: int, delay: float) -> None:
    """Replace os.fsync by one that kills this process at its `number`-th call, or `delay` seconds after it."""
    real, count = os.fsync, 0

    def fsync(file: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            if delay == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Thread(target=lambda: (time.sleep(delay), os.kill(os.getpid(), signal.SIGKILL))).start()
        real(file)  # type: ignore[arg-type]

    os.fsync = fsync  # type: ignore[assignment]


def main(folder: Path, seed: int, most_writes: int) -> int:
    rng, killed = random.Random(seed), 0
    torch.set_num_threads(1)
    while killed < 1000:
        number, delay = rng.randint(1, most_writes), rng.choice((0.0, 0.0, 0.003, 0.03))
        child = os.fork()
        if child == 0:
            kill_at_write(number, delay)
            pipeline.resume(folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            killed += 1
        elif status == 0:
            return killed
        else:
            raise SystemExit(f"a child ended with status {status} after {killed} kills")
    raise SystemExit("the run never came to its end")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
