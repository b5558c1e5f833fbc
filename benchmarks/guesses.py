"""Whether any of many wrong passphrases opens a vault: ``python benchmarks/guesses.py``.

Half of the guesses are passphrases as incog draws them, half are the right one with one character changed, left out
or put in. They go through the code that ``incog restore`` runs before it opens anything, against vaults of three kinds:
with one passphrase, with that and the passphrases of two grants, and with slots. ``--passes``, ``--memory`` and
``--lanes`` say what a guess costs: less than by default allows for more guesses, and changes only how long one takes.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
from incog.errors import VaultError
from incog.types import Key
from incog.vault.build import made
from incog.vault.header import FACE, FILE, Cost, Header, Part
from incog.vault.locks import Ring, fresh, passphrase_lock, unlock
from incog.vault.slots import filled
from incog.vault.stream import Passphrase, Payload
from incog.vault.strength import suggestion

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def vaults(cost: Cost, right: Passphrase) -> dict[str, Header]:
    """Return the headers of vaults that ``right`` opens, by what they are."""
    payload = Payload.of(FILE, bytes(1000))
    header, ring = Header(cost, secrets.token_bytes(16), secrets.token_bytes(32)), fresh()
    lock = passphrase_lock(right, header, ring)
    one = made(header, ring, [lock], [(Part(FILE, 1, payload.padded), payload)]).header
    names = [Part(FACE, number, 0).name for number in (1, 2)]
    grants = [
        passphrase_lock(Passphrase(suggestion()), header, Ring({name: Key(secrets.token_bytes(32))}))
        for name in names
    ]
    salted = replace(header, salt=secrets.token_bytes(16))
    return {
        "one passphrase": one,
        "and two grants": replace(one, locks=(*one.locks, *grants)),
        "three slots": filled(salted, [(right, payload)], 3, 1000).header,
    }


def wrong(right: str, count: int) -> Iterator[str]:
    """Yield passphrases that are not ``right``."""
    while count:
        guess = suggestion() if count % 2 else nearly(right)
        if guess != right:
            count -= 1
            yield guess


def nearly(right: str) -> str:
    """Return a passphrase with one character changed, left out or put in."""
    at, letter = secrets.randbelow(len(right)), secrets.choice(LETTERS)
    return secrets.choice(
        [
            right[:at] + letter + right[at + 1 :],
            right[:at] + right[at + 1 :],
            right[:at] + letter + right[at:],
        ]
    )


def tried(header: Header, right: Passphrase, count: int) -> dict[str, Any]:
    """Return how many of ``count`` wrong passphrases opened the vault, and the seconds that each took."""
    unlock(header, right)
    opened, seconds = 0, []
    for guess in wrong(right.value, count):
        began = time.process_time()
        try:
            unlock(header, Passphrase(guess))
            opened += 1
        except VaultError as error:
            if "passphrase is wrong" not in str(error):
                raise
        seconds.append(time.process_time() - began)
    return {
        "guesses": count,
        "opened": opened,
        "cpu_seconds": statistics.median(seconds),
        "least_cpu_seconds": min(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--guesses", type=int, default=10_000, help="at each kind of vault")
    parser.add_argument("--true", type=int, default=2000, help="more, at the first kind and the default cost")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--memory", type=int, default=8192, help="in KiB")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "guesses.json")
    options = parser.parse_args()
    result = common.record()
    right = Passphrase(suggestion())
    cheap = Cost(options.passes, options.memory, options.lanes)
    result["cheap"] = {"passes": cheap.passes, "memory_kib": cheap.memory_kib, "lanes": cheap.lanes}
    result["vaults"] = {
        name: tried(header, right, options.guesses) for name, header in vaults(cheap, right).items()
    }
    usual = Cost()
    result["default"] = {"passes": usual.passes, "memory_kib": usual.memory_kib, "lanes": usual.lanes}
    result["at the default cost"] = tried(vaults(usual, right)["one passphrase"], right, options.true)
    for name, row in [*result["vaults"].items(), ("default cost", result["at the default cost"])]:
        print(f"{name}: {row['opened']} of {row['guesses']} opened, {row['cpu_seconds']:.4f} s a guess")
    common.save(options.out, result)


if __name__ == "__main__":
    main()
