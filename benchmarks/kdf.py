"""What one guess at a vault's passphrase costs on this machine: ``python benchmarks/kdf.py --out
benchmarks/results/kdf.json``. ``tables.py`` makes the table of docs/benchmarks.md from it.

A guess is what an attacker has to do at least: Argon2id with the parameters in the header, the key of the lock, and the
lock's authenticator. Timed are single guesses, one after another, by the clock and by the time that the
processor worked on them, which other programs disturb less; and as many processes as there are cores at once.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import common
from incog.errors import VaultError
from incog.vault.header import Cost, Header
from incog.vault.locks import fresh, passphrase_lock, unlock
from incog.vault.stream import Passphrase

COSTS = {
    "default": Cost(),
    "twice the passes": Cost(passes=6),
    "four times the memory": Cost(memory_kib=262144),
}


def guess(vault: Header, number: int) -> tuple[float, float]:
    """Try one wrong passphrase; return the seconds that it took, by the clock and of the processor."""
    began, worked = time.perf_counter(), time.process_time()
    try:
        unlock(vault, Passphrase(f"guess {number}"))
    except VaultError:
        return time.perf_counter() - began, time.process_time() - worked
    raise SystemExit("a wrong passphrase opened a vault")


def measured(cost: Cost, guesses: int, processes: int) -> dict[str, Any]:
    """Return the seconds of one guess, and the guesses a second of all cores."""
    header = Header(cost, secrets.token_bytes(16), bytes(32))
    vault = replace(header, locks=(passphrase_lock(Passphrase("benchmark"), header, fresh()),))
    guess(vault, 0)
    alone = [guess(vault, number) for number in range(guesses)]
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(partial(guess, vault), range(processes)))
        began = time.perf_counter()
        list(pool.map(partial(guess, vault), range(guesses * processes)))
        rate = guesses * processes / (time.perf_counter() - began)
    return {
        "passes": cost.passes,
        "memory_kib": cost.memory_kib,
        "lanes": cost.lanes,
        "seconds": statistics.median(wall for wall, _ in alone),
        "least_seconds": min(wall for wall, _ in alone),
        "cpu_seconds": statistics.median(cpu for _, cpu in alone),
        "least_cpu_seconds": min(cpu for _, cpu in alone),
        "guesses_a_second": rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--guesses", type=int, default=20, help="timed, for each cost and process")
    parser.add_argument("--processes", type=int, default=common.os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "kdf.json")
    options = parser.parse_args()
    result = common.record() | {"guesses": options.guesses, "processes": options.processes}
    result["costs"] = {
        name: measured(cost, options.guesses, options.processes) for name, cost in COSTS.items()
    }
    for name, row in result["costs"].items():
        print(f"{name}: {row['seconds']:.3f} s a guess, {row['guesses_a_second']:.1f} guesses/s")
    common.save(options.out, result)


if __name__ == "__main__":
    main()
