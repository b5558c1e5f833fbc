"""What the benchmarks share: the record of commit, machine and versions; a tool's time and peak memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
DEFACE = ROOT / "runs" / "deface-venv" / "bin" / "deface"
DEFACE_SETUP = (
    "python -m venv runs/deface-venv && runs/deface-venv/bin/pip install deface==1.5.0 onnx onnxruntime && "
    "runs/deface-venv/bin/pip uninstall -y opencv-python && "
    "runs/deface-venv/bin/pip install 'opencv-python-headless<5'"
)


def incog() -> list[str]:
    """Return the command that starts incog's CLI in this environment."""
    beside = Path(sys.executable).parent / "incog"
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "incog.cli"]


def deface() -> list[str]:
    """Return the command that starts deface in its own environment; SystemExit says how to make that."""
    if not DEFACE.exists():
        raise SystemExit(f"deface is not set up; run: {DEFACE_SETUP}")
    return [str(DEFACE)]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _deface_versions() -> dict[str, str] | None:
    python = DEFACE.parent / "python"
    if not python.exists():
        return None
    wanted = ("deface", "onnxruntime", "opencv-python-headless", "opencv-python", "numpy", "imageio-ffmpeg")
    code = (
        "import json; from importlib import metadata as m; "
        f"print(json.dumps({{d.name: d.version for d in m.distributions() if d.name in {wanted!r}}}))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def record() -> dict[str, Any]:
    """Return commit, date, command, machine and versions: what a figure needs to be checked again."""
    words = [os.path.relpath(word, ROOT) if Path(word).is_absolute() else word for word in sys.argv]
    packages = ("incog", "numpy", "opencv-python-headless", "onnxruntime", "av", "scikit-image", "dlib-bin")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(
            [
                line
                for line in _git("status", "--porcelain", "--", "src", "benchmarks").splitlines()
                if "benchmarks/results" not in line
            ]
        ),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python " + " ".join(words),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "deface_versions": _deface_versions(),
    }


def save(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Run:
    """How a command went. peak_mb: the largest sum of resident memory over its process tree, sampled."""

    code: int
    seconds: float
    peak_mb: float
    output: str


def run(command: list[str], timeout: float = 3600) -> Run:
    """Run a command to its end and watch the memory of its process tree; on a time-out the code is -9."""
    peak = 0.0
    done = threading.Event()

    def watch(pid: int) -> None:
        nonlocal peak
        while not done.is_set():
            try:
                top = psutil.Process(pid)
                total = 0
                for process in [top, *top.children(recursive=True)]:
                    try:
                        total += process.memory_info().rss
                    except psutil.Error:
                        continue
                peak = max(peak, total / 2**20)
            except psutil.Error:
                return
            done.wait(0.05)

    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        watcher = threading.Thread(target=watch, args=(process.pid,), daemon=True)
        watcher.start()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = -9
        seconds = time.perf_counter() - begin
        done.set()
        watcher.join()
        log.seek(0)
        return Run(code, seconds, peak, log.read()[-2000:])
