"""Secrets, derived keys, and the numbers that streams make of them."""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import stat
import traceback
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from incog import keys
from incog.errors import IncogError, InputError, OutputError, UsageError
from incog.keys import Secret, Stream, derive, encode, person_key, track_key
from incog.types import Key

SECRET = Secret.from_seed(1)
KEY = track_key(SECRET, bytes(range(16)), 7)
SALT = bytes(range(16))
CHEAP = {"time_cost": 1, "memory_kib": 32, "lanes": 1}

scopes = st.lists(st.binary(max_size=4) | st.text(max_size=4) | st.integers(), max_size=4)


def hkdf_sha256(material: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of output, from the standard library alone."""
    extracted = hmac.digest(salt, material, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


# Secrets


def test_fresh_secrets_differ() -> None:
    assert Secret.fresh() != Secret.fresh()
    assert len(Secret.fresh().value) == 32


def test_seeds_give_stable_and_different_secrets() -> None:
    assert SECRET.value.hex() == "d51c2c123e9a9d4e030ab853313f09de868db75c75d210eccca97f883309b331"
    assert len({Secret.from_seed(seed).value for seed in (-1, 0, 1, 2**70)}) == 4
    with pytest.raises(TypeError, match="int"):
        Secret.from_seed(True)


@pytest.mark.parametrize("value", [b"", bytes(31), bytes(33), bytearray(32), "a" * 32])
def test_a_secret_has_32_bytes(value: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Secret(value)


def test_secrets_and_keys_hide_themselves(tmp_path: Path) -> None:
    secret = Secret(b"HIDDENhiddenHIDDENhiddenHIDDEN!!")
    key = derive(secret, "purpose")
    shown = f"{secret} {secret!r} {key} {key!r} {[secret, key]} {Stream(key)!r}"
    assert "HIDDEN" not in shown
    assert str(key.secret) not in shown
    path = tmp_path / "long"
    path.write_bytes(secret.value * 2)
    path.chmod(0o600)
    failures = (
        lambda: Secret.from_file(path),
        lambda: Secret.from_passphrase("HIDDEN" * 1000, SALT, **CHEAP),
        lambda: Secret.from_passphrase("HIDDEN", SALT, time_cost=0),
        lambda: Secret(secret.value * 2),
    )
    for fail in failures:
        with pytest.raises((IncogError, ValueError)) as caught:
            fail()
        # The source lines of a trace would show this test's own text.
        assert "HIDDEN" not in "".join(traceback.format_exception_only(caught.value))


def test_secrets_travel_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(SECRET)) == SECRET


# Secret files


def test_a_file_gives_back_the_secret_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    SECRET.to_file(path)
    assert Secret.from_file(path) == SECRET
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        SECRET.to_file(path)
    assert path.read_bytes() == b"mine"


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        SECRET.to_file(tmp_path / "secret")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o610])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    SECRET.to_file(path)
    path.chmod(mode)
    with pytest.raises(InputError, match=f"owner only, got mode {mode:04o}") as caught:
        Secret.from_file(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_file_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(InputError, match=f"must be 32 bytes, got {size}"):
        Secret.from_file(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Secret.from_file(tmp_path / "missing")
    with pytest.raises(InputError, match=r"regular file|cannot be read"):
        Secret.from_file(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(InputError, match="regular file"):
            Secret.from_file(tmp_path / "pipe")


# Passphrases


def test_argon2id_is_the_one_of_rfc_9106() -> None:
    kdf = Argon2id(
        salt=b"\x02" * 16,
        length=32,
        iterations=3,
        lanes=4,
        memory_cost=32,
        ad=b"\x04" * 12,
        secret=b"\x03" * 8,
    )
    expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    assert kdf.derive(b"\x01" * 32).hex() == expected


def test_passphrases_give_what_the_reference_implementation_gives() -> None:
    # Made with argon2-cffi, which wraps the authors' own code.
    secret = Secret.from_passphrase("password", b"somesaltsomesalt", time_cost=2, memory_kib=256, lanes=1)
    assert secret.value.hex() == "cab746b4621993fdc91ec50787980b414a90a692f0bc68dfe19f9c25b3cba9ec"
    secret = Secret.from_passphrase("pässword", SALT)
    assert secret.value.hex() == "62be84bbe32dd754d195e7b6bfb78c2e610741179bcc460d8b85032baab9fdd6"


def test_one_passphrase_in_two_unicode_forms_is_one() -> None:
    composed = Secret.from_passphrase("\u00e4", SALT, **CHEAP)
    assert Secret.from_passphrase("a\u0308", SALT, **CHEAP) == composed
    assert Secret.from_passphrase("a", SALT, **CHEAP) != composed
    assert Secret.from_passphrase("\u00e4", SALT[::-1], **CHEAP) != composed
    # What a command line holds that is not UTF-8.
    assert Secret.from_passphrase("\udcff", SALT, **CHEAP) != composed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passphrase": ""}, "passphrase's length must be 1 to 4096 bytes, got 0"),
        ({"passphrase": "x" * 4097}, "got 4097"),
        ({"salt": bytes(15)}, "salt's length must be 16 to 64 bytes, got 15"),
        ({"salt": bytes(65)}, "got 65"),
        ({"time_cost": 0}, "time cost must be a whole number from 1 to 64, got 0"),
        ({"time_cost": 65}, "got 65"),
        ({"lanes": 0}, "lanes must be"),
        ({"lanes": 17}, "lanes must be"),
        ({"memory_kib": 7}, "memory in KiB must be a whole number from 8 to 1048576, got 7"),
        ({"memory_kib": 2**20 + 1}, "memory in KiB must be"),
        ({"memory_kib": 2**60}, "memory in KiB must be"),
        ({"memory_kib": True}, "memory in KiB must be"),
    ],
)
def test_costs_are_capped_before_memory_is_taken(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Secret.from_passphrase(**{"passphrase": "secret phrase", "salt": SALT, **CHEAP, **change})


# Derivation


def test_derivation_is_hkdf_sha256() -> None:
    info = b"s" + (5).to_bytes(8, "big") + b"track" + b"b" + (16).to_bytes(8, "big") + bytes(range(16))
    info += b"i" + (1).to_bytes(8, "big") + b"\x07"
    assert KEY.secret == hkdf_sha256(SECRET.value, b"incog v1", info)


def test_derived_keys_stay_the_same_across_versions() -> None:
    assert KEY.secret.hex() == "85880bb56876e1ffd33fd5e2c92e51fea1deaf4b7dd444931f168aef6c3447cd"
    expected = "c60567e462bb0e1d6d9d8b04a6981fa9e6d73f6d575c16ab8fee18f0611bd86d"
    assert person_key(SECRET, "Åse").secret.hex() == expected


@given(scopes, scopes)
def test_distinct_scopes_have_distinct_encodings(
    one: list[bytes | str | int], other: list[bytes | str | int]
) -> None:
    assert (encode(*one) == encode(*other)) == (one == other)


@given(scopes)
def test_splitting_or_joining_fields_changes_the_encoding(scope: list[bytes | str | int]) -> None:
    assert encode(encode(*scope)) != encode(*scope)
    assert encode(*scope, b"") != encode(*scope)


def test_look_alike_fields_give_different_keys() -> None:
    alike = [
        (1,),
        ("1",),
        (b"1",),
        (b"\x01",),
        (b"i", 1),
        (),
        ("",),
        (b"",),
        (0,),
        ("1", ""),
        ("", "1"),
        (-1,),
        (255,),
    ]
    assert len({derive(SECRET, "p", *scope).secret for scope in alike}) == len(alike)
    assert derive(SECRET, "p", "q") != derive(SECRET, "pq")
    assert derive(SECRET, "p") != derive(Secret.from_seed(2), "p")
    assert derive(KEY, "p") == derive(Secret(KEY.secret), "p")


@pytest.mark.parametrize("field", [True, 1.0, None, np.int64(1), np.str_("a"), bytearray(b"a"), (1,)])
def test_other_types_are_no_scope(field: object) -> None:
    with pytest.raises(TypeError, match="bytes, str or int"):
        derive(SECRET, "p", field)  # type: ignore[arg-type]


def test_tracks_and_persons_do_not_share_keys() -> None:
    assert len({track_key(SECRET, bytes(16), track).secret for track in range(-2, 300)}) == 302
    assert track_key(SECRET, bytes(16), 0) != track_key(SECRET, b"\x01" * 16, 0)
    assert person_key(SECRET, "a") != person_key(SECRET, "b")
    with pytest.raises(ValueError, match="16 bytes, got 15"):
        track_key(SECRET, bytes(15), 0)


# Streams


def test_a_stream_is_the_aes_counter_keystream() -> None:
    block = Cipher(algorithms.AES(derive(KEY, "stream", "a").secret), modes.ECB()).encryptor()
    counters = b"".join(counter.to_bytes(16, "big") for counter in range(4))
    assert Stream(KEY, "a").bytes(64) == block.update(counters)


def test_streams_stay_the_same_across_versions() -> None:
    def stream() -> Stream:
        return Stream(KEY, "golden", 1)

    assert stream().bytes(8).hex() == "e8d0ca2f9fbfac49"
    assert stream().uniform(1)[0] == (0x49ACBF9F2FCAD0E8 >> 11) / 2**53
    np.testing.assert_array_equal(stream().integers(-10, 10, 8), [-6, -10, -1, -4, 3, -10, -5, 0])
    np.testing.assert_array_equal(stream().signs(8), [-1, -1, -1, 1, 1, 1, -1, 1])
    np.testing.assert_allclose(stream().uniform(3), [0.28779218, 0.54580762, 0.94083386], atol=1e-8)
    np.testing.assert_allclose(stream().normal(3), [-0.55984617, 0.11507616, 1.56181202], atol=1e-8)
    np.testing.assert_allclose(stream().laplace(3), [-1.24551665, -0.60548871, 0.06098871], atol=1e-8)
    np.testing.assert_array_equal(stream().discrete_laplace(100.0, 4), [64, -40, -157, 183])


DRAWS = {
    "bytes": lambda stream, n: np.frombuffer(stream.bytes(n), np.uint8),
    "uniform": lambda stream, n: stream.uniform(n),
    "normal": lambda stream, n: stream.normal(n),
    "laplace": lambda stream, n: stream.laplace(n),
    "discrete_laplace": lambda stream, n: stream.discrete_laplace(30.0, n),
    # Half of all words are skipped, so that a wrong count of skipped words shows.
    "integers": lambda stream, n: stream.integers(-(2**62) - 1, 2**62, n),
    "signs": lambda stream, n: stream.signs(n),
}


@pytest.mark.parametrize("kind", DRAWS)
@given(parts=st.lists(st.integers(0, 9), max_size=6))
def test_it_does_not_matter_how_calls_are_split(kind: str, parts: list[int]) -> None:
    split, whole = Stream(KEY, kind), Stream(KEY, kind)
    pieces = [DRAWS[kind](split, part) for part in parts]
    joined = np.concatenate([DRAWS[kind](Stream(KEY), 0), *pieces])
    np.testing.assert_array_equal(joined, DRAWS[kind](whole, sum(parts)))
    assert split.bytes(5) == whole.bytes(5)


@pytest.mark.parametrize("kind", DRAWS)
def test_streams_depend_on_key_and_scope(kind: str) -> None:
    draws = [
        DRAWS[kind](stream, 64).tobytes()
        for stream in (Stream(KEY), Stream(KEY, 0), Stream(KEY, "0"), Stream(Key(bytes(32)), 0))
    ]
    assert len(set(draws)) == 4


def test_shapes_and_types() -> None:
    stream = Stream(KEY)
    for values, kind in (
        (stream.uniform((2, 3)), np.float64),
        (stream.normal((2, 3)), np.float64),
        (stream.laplace((2, 3)), np.float64),
        (stream.discrete_laplace(1.0, (2, 3)), np.int64),
        (stream.integers(0, 5, (2, 3)), np.int64),
        (stream.signs((2, 3)), np.int8),
    ):
        assert values.shape == (2, 3)
        assert values.dtype == kind
    assert stream.uniform(()).shape == ()
    assert stream.integers(0, 5, 0).shape == (0,)


def test_an_array_is_filled_in_c_order() -> None:
    np.testing.assert_array_equal(Stream(KEY).normal((3, 4)).ravel(), Stream(KEY).normal(12))


COUNT = 200_000


def test_uniform_values_are_uniform() -> None:
    values = Stream(KEY, "uniform").uniform(COUNT)
    assert values.min() >= 0
    assert values.max() < 1
    assert np.array_equal(values * 2.0**53, np.floor(values * 2.0**53))
    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_normal_values_are_normal() -> None:
    values = Stream(KEY, "normal").normal(COUNT)
    assert np.isfinite(values).all()
    assert stats.kstest(values, "norm").pvalue > 0.001


def test_laplace_values_are_laplace() -> None:
    assert stats.kstest(Stream(KEY, "laplace").laplace(COUNT), "laplace").pvalue > 0.001


@pytest.mark.parametrize("scale", [0.5, 3.0, 4080.0])
def test_discrete_laplace_values_are_discrete_laplace(scale: float) -> None:
    values = Stream(KEY, "discrete").discrete_laplace(scale, COUNT)
    law = stats.dlaplace(1 / scale)
    # Equally likely bins, by their upper ends; ends that fall together are one.
    ends = np.unique(law.ppf(np.linspace(0.05, 0.95, 19)))
    observed = np.bincount(np.searchsorted(ends, values), minlength=len(ends) + 1)
    expected = np.diff(np.concatenate([[0], law.cdf(ends), [1]])) * COUNT
    assert stats.chisquare(observed, expected).pvalue > 0.001


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_discrete_laplace_needs_a_scale(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Stream(KEY).discrete_laplace(scale, 1)


def test_signs_are_fair() -> None:
    values = Stream(KEY, "signs").signs(COUNT)
    assert set(values.tolist()) == {-1, 1}
    assert abs(values.mean()) < 4 / COUNT**0.5


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (0, 255)])
def test_integers_are_uniform(low: int, high: int) -> None:
    values = Stream(KEY, "integers").integers(low, high, COUNT)
    counts = np.bincount(values - low, minlength=high - low)
    assert len(counts) == high - low
    assert stats.chisquare(counts).pvalue > 0.001


def test_integers_have_no_modulo_bias() -> None:
    # Of 2**64 words modulo 3 * 2**61, the lower two thirds would come up 3 times in 2 of the upper third's.
    span = 3 * 2**61
    values = Stream(KEY, "bias").integers(0, span, 30_000)
    counts = np.bincount(values // 2**61, minlength=3)
    assert stats.chisquare(counts).pvalue > 0.001


def test_integers_reach_both_ends_of_64_bits() -> None:
    values = Stream(KEY, "ends").integers(-(2**63), 2**63 - 1, 1000)
    assert values.min() < -(2**62)
    assert values.max() > 2**62
    np.testing.assert_array_equal(Stream(KEY).integers(2**63 - 2, 2**63 - 1, 5), [2**63 - 2] * 5)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 0), (0, 2**63), (-(2**63) - 1, 0)])
def test_integers_need_bounds(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="bounds"):
        Stream(KEY).integers(low, high, 1)
