"""What evidence costs: proofs from stored tiles, verifying a whole log, and the verifier's start.

python -m benchmarks.evidence [--sizes 10000,100000,1000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.evidence import bundle, checkpoint
from app.evidence.checkpoint import Checkpoint
from app.evidence.log_check import check_log
from app.evidence.merkle import consistency_holds, consistency_proof, inclusion_proof, tree_root
from app.evidence.note import NoteSigner
from app.evidence.tile_folder import TileFolder, TileFolderWriter

_SIGNER = NoteSigner("log.example/benchmark", Ed25519PrivateKey.from_private_bytes(bytes(32)))
_ENTRY_BYTES = 400
_PROOFS = 300
_STARTS = 7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, object] = {
            size: measure_log(Path(folder) / size, int(size)) for size in asked.sizes.split(",")
        }
    figures["sign_bundle_ms"] = median_ms(sign_one, _PROOFS)
    figures["verifier_start_seconds"] = round(statistics.median(start_seconds() for _ in range(_STARTS)), 3)
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure_log(folder: Path, size: int) -> dict[str, float]:
    """Write a log of this size, then prove and verify: seconds, milliseconds (medians) and MiB."""
    started = time.perf_counter()
    signed = write_log(folder, size)
    written = time.perf_counter() - started
    started, memory = time.perf_counter(), peak_mib()
    findings = check_log(folder, [_SIGNER.key])
    verified = time.perf_counter() - started
    if findings.failure is not None:
        raise findings.failure
    # Each proof reads its tiles from the files anew, as a request would.
    return {
        "write_seconds": round(written, 2),
        "verify_seconds": round(verified, 2),
        "verify_added_peak_mib": round(peak_mib() - memory, 1),
        "inclusion_ms": median_ms(lambda: prove_inclusion(folder, signed), _PROOFS),
        "consistency_ms": median_ms(lambda: prove_consistency(folder, signed), _PROOFS),
        "hashes_in_a_proof": len(prove_inclusion(folder, signed)),
    }


def write_log(folder: Path, size: int) -> Checkpoint:
    """Write a log folder of entries of equal length."""
    writer = TileFolderWriter(folder)
    for index in range(size):
        writer.append(str(index).encode().ljust(_ENTRY_BYTES, b"."))
    note = checkpoint.sign(size, writer.root(), _SIGNER)
    writer.finish(note)
    return checkpoint.verified(note, [_SIGNER.key])


def prove_inclusion(folder: Path, signed: Checkpoint) -> list[bytes]:
    """Prove a random entry."""
    index = random.randrange(signed.size)  # noqa: S311  not for secrets
    return inclusion_proof(index, signed.size, TileFolder(folder).hashes(signed))


def prove_consistency(folder: Path, signed: Checkpoint) -> list[bytes]:
    """Prove that the log extends a random earlier one, and check it."""
    size = random.randrange(1, signed.size)  # noqa: S311  not for secrets
    read = TileFolder(folder).hashes(signed)
    proof = consistency_proof(size, signed.size, read)
    if not consistency_holds(size, signed.size, tree_root(size, read), signed.root, proof):
        raise AssertionError(f"the proof from {size} to {signed.size} does not hold")
    return proof


def sign_one() -> None:
    """Make a bundle of a statement of two kB."""
    bundle.sign(b"x" * 2000, ec.derive_private_key(12345, ec.SECP256R1())).to_bytes()


def start_seconds() -> float:
    """From the start of the process to its answer: the folder holds no certificate."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "log.pub"
        key.write_text(f"{_SIGNER.key}\n")
        command = [sys.executable, "-m", "app.cli", "verify", "log", folder, "--log-key", str(key)]
        started = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        return time.perf_counter() - started


def median_ms(call: Callable[[], object], times: int) -> float:
    """Median of the milliseconds of a call."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(found), 3)


def peak_mib() -> float:
    """The most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
