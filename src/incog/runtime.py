"""How cores are used: sessions of ONNX Runtime, and the linear algebra of NumPy and SciPy."""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import threadpool_limits

_OPENBLAS = "OPENBLAS_NUM_THREADS"


def session(data: bytes, *, device: str = "cpu", threads: int = 1) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of an ONNX file.

    device: ``cpu`` or ``cuda``. threads: 0 for one per core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    if device == "cuda":
        providers.insert(0, "CUDAExecutionProvider")
    return onnxruntime.InferenceSession(data, options, providers=providers)


def one_thread_for_matrices() -> None:
    """Give matrix products and inverses one thread of this process, unless OPENBLAS_NUM_THREADS says otherwise.

    A face's matrices are small: more threads gain nothing, and where other processes want the same cores they wait for
    each other for most of the time (an inverse of 150 x 150 took 30 times as long).
    """
    if _OPENBLAS in os.environ:
        return
    # For libraries that are loaded later, and in processes that this one starts.
    os.environ[_OPENBLAS] = "1"
    threadpool_limits(1, user_api="blas")
