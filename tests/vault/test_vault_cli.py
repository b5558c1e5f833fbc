"""Sealing on the command line: hide, restore, inspect and strip as users meet them, and what never shows."""

from __future__ import annotations

import getpass
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from incog.cli import app
from incog.cli.passphrases import from_file, from_key_file
from incog.colour import rgb8
from incog.errors import InputError
from incog.keys import Secret
from incog.media import open_source
from incog.media.files import PendingFile
from incog.parallel import Settings
from incog.pipeline import Options
from incog.vault import files
from incog.vault.files import Sealing
from incog.vault.locks import Identities
from incog.vault.slots import Decoy, Slots
from incog.vault.stream import Passphrase

Incog = Callable[..., Any]
Tree = Callable[[Path], list[str]]
MostLeft = Callable[[Path, Path], list[float]]

STRONG = "bako-lumi-tedi-runo-sika"
WEAK = "password1"
OTHER = "zuti-melo-kasi-pano-riva"
# Of the test vectors that age publishes.
PRIVATE = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
PUBLIC = str(Identities.of(PRIVATE.encode()).parsed()[0].to_public())


@pytest.fixture
def phrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("owner") / "phrase", STRONG.encode() + b"\n")


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def typing(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Sit a user down at a terminal; return the prompts that they see."""
    prompts: list[str] = []
    left = iter(answers)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: prompts.append(prompt) or next(left))
    return prompts


# There and back


def test_a_photo_there_and_back(
    incog: Incog, photo: Path, phrase: Path, tree: Tree, most_left: MostLeft, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    hidden = incog("hide", photo, "--passphrase-file", phrase, "--report", report)
    assert hidden.code == 0
    assert "pseudonymised, not anonymous" in hidden.err
    out = photo.with_name("holiday.incog.png")
    assert max(most_left(photo, out)) < 0.15
    told = json.loads(report.read_text())["files"][0]
    assert any("has the original" in claim["statement"] and not claim["holds"] for claim in told["claims"])
    entry = told["vault"]
    assert entry["status"] == "pseudonymised, not anonymous"
    assert entry["place"].startswith("inVt")
    assert "64 MiB" in entry["guess"]
    told = incog("inspect", out)
    assert told.code == 0
    assert "pseudonymised, not anonymous" in told.out
    assert str(entry["bytes"]) in told.out
    restored = incog("restore", out, "--passphrase-file", phrase)
    assert restored.code == 0
    assert photo.with_name("holiday.restored.png").read_bytes() == photo.read_bytes()
    stripped = incog("strip", out, "-o", tmp_path / "public.png")
    assert stripped.code == 0
    assert incog("inspect", tmp_path / "public.png").code == 1
    assert max(most_left(photo, tmp_path / "public.png")) < 0.15
    for result in (hidden, told, restored, stripped):
        assert STRONG not in result.out + result.err
    assert STRONG not in report.read_text()
    assert not any(name.startswith(".incog-") for name in tree(tmp_path))


def test_no_command_writes_a_file_that_is_not_what_its_name_says(
    incog: Incog, admiral: Any, phrase: Path, friend: Path, tmp_path: Path, tree: Tree
) -> None:
    """One rule, one message and one exit status for all that write a picture."""
    photo, out, plan = tmp_path / "a.jpg", tmp_path / "a.incog.jpg", tmp_path / "a.plan.json"
    Image.fromarray(admiral).save(photo, quality=95)
    assert incog(photo, "--passphrase-file", phrase).code == 0
    assert incog("plan", photo).code == 0
    before = tree(tmp_path)
    owner = ["--passphrase-file", phrase]
    for words in (
        ["hide", photo],
        ["render", plan],
        ["strip", out],
        ["restore", out, *owner],
        ["grant", out, "--faces", "1", *owner, "--to-passphrase-file", friend],
    ):
        result = incog(*words, "-o", tmp_path / "wrong.png")
        assert result.code == 1, words
        assert "the output must have the suffix .jpg, as the content is, got '.png'" in result.err, words
        assert tree(tmp_path) == before
        assert incog(*words, "-o", tmp_path / "right.jpeg").code == 0, words
        if words[0] == "restore":
            assert (tmp_path / "right.jpeg").read_bytes() == photo.read_bytes()
        (tmp_path / "right.jpeg").unlink()


def test_every_command_makes_the_folder_of_its_output(
    incog: Incog, photo: Path, phrase: Path, friend: Path, tmp_path: Path, tree: Tree
) -> None:
    out, plan = photo.with_name("holiday.incog.png"), photo.with_name("holiday.plan.json")
    assert incog(photo, "--passphrase-file", phrase).code == 0
    assert incog("plan", photo).code == 0
    before = tree(tmp_path)
    owner = ["--passphrase-file", phrase]
    to_friend = ["--faces", "1", "--to-passphrase-file", friend]
    for number, words in enumerate(
        (
            ["hide", photo, "--report", tmp_path / "told" / "r.json"],
            ["plan", photo],
            ["render", plan],
            ["strip", out],
            ["restore", out, *owner],
            ["grant", out, *owner, *to_friend],
        )
    ):
        new = tmp_path / f"no{number}" / "deep" / ("a.json" if words[0] == "plan" else "a.png")
        result = incog(*words, "-o", new)
        assert (result.code, new.is_file()) == (0, True), result.err
    assert (tmp_path / "told" / "r.json").is_file()
    assert set(before) <= set(tree(tmp_path))


def test_a_folder_that_was_made_for_nothing_goes_again(
    incog: Incog,
    photo: Path,
    phrase: Path,
    friend: Path,
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, new = photo.with_name("holiday.incog.png"), tmp_path / "no" / "deep" / "a.jpg"
    assert incog(photo, "--passphrase-file", phrase).code == 0
    before = tree(tmp_path)
    assert incog("restore", out, "--passphrase-file", friend, "-o", new.with_suffix(".png")).code == 1
    assert incog("restore", out, "--passphrase-file", phrase, "-o", new).code == 1
    assert incog("strip", out, "-o", new).code == 1

    def full(*given: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("incog.vault.grants.placed", full)
    granted = ("grant", out, "--faces", "1", "--passphrase-file", phrase, "--to-passphrase-file", friend)
    assert incog(*granted, "-o", new.with_suffix(".png")).code == 1
    assert tree(tmp_path) == before
    assert not new.parent.parent.exists()


def test_an_original_may_keep_the_suffix_that_it_had_or_get_that_of_its_content(
    incog: Incog, admiral: Any, phrase: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "a.png"
    Image.fromarray(admiral).save(photo, "JPEG", quality=95)
    assert incog(photo, "--passphrase-file", phrase).code == 0
    out = tmp_path / "a.incog.png.jpg"
    for suffix, code in ((".png", 0), (".jpg", 0), ("", 0), (".webp", 1)):
        back = tmp_path / f"back{suffix}"
        result = incog("restore", out, "--passphrase-file", phrase, "-o", back)
        assert result.code == code
        assert back.exists() == (code == 0)
    assert "must have the suffix .jpg" in result.err


def test_a_video_there_and_back(
    incog: Incog, clip: Path, phrase: Path, friend: Path, most_left: MostLeft
) -> None:
    assert incog("hide", clip, "--passphrase-file", phrase).code == 0
    out = clip.with_name("clip.incog.mp4")
    assert max(most_left(clip, out)) < 0.15
    assert incog("restore", out, "--passphrase-file", phrase, "-o", clip.with_name("back.mp4")).code == 0
    assert clip.with_name("back.mp4").read_bytes() == clip.read_bytes()
    granted = incog("grant", out, "--faces", "1", "--passphrase-file", phrase, "--to-passphrase-file", friend)
    assert granted.code == 0
    assert "frames 0 to 13" in incog("inspect", out).out
    restored = incog("restore", out.with_name("clip.incog.granted.mp4"), "--passphrase-file", friend)
    assert restored.code == 0
    # The one face of the clip is there again.
    assert min(most_left(clip, clip.with_name("clip.restored.mp4"))) > 0.5


def test_a_plan_is_rendered_with_a_vault_beside(
    incog: Incog, photo: Path, phrase: Path, tree: Tree, tmp_path: Path
) -> None:
    assert incog("plan", photo).code == 0
    plan = photo.with_name("holiday.plan.json")
    assert incog("render", plan, "--passphrase-file", phrase, "--sidecar").code == 0
    out, back = photo.with_name("holiday.incog.png"), tmp_path / "back.png"
    assert "holiday.incog.png.incog" in tree(tmp_path)
    # Wrong
    wrong = written(tmp_path / "wrong", STRONG.replace("sika", "siku").encode())
    result = incog("restore", out, "--passphrase-file", wrong, "-o", back)
    assert result.code == 1
    assert "the passphrase is wrong" in result.err
    assert not back.exists()
    # Edited
    out.write_bytes(out.read_bytes() + b"\0")
    result = incog("restore", out, "--passphrase-file", phrase, "-o", back)
    assert result.code == 1
    assert "edited, damaged or exchanged" in result.err
    assert "--ignore-binding" in result.err
    assert not back.exists()
    assert "edited" in incog("inspect", out).out
    result = incog("restore", out, "--passphrase-file", phrase, "-o", back, "--ignore-binding")
    assert result.code == 0
    assert "warning" in result.err
    assert back.read_bytes() == photo.read_bytes()


def test_a_vault_that_lay_beside_the_output_before_is_told_of(
    incog: Incog, photo: Path, phrase: Path
) -> None:
    assert incog(photo, "--passphrase-file", phrase, "--sidecar").code == 0
    again = incog(photo, "--overwrite")
    assert again.code == 0
    assert "holiday.incog.png.incog was there before and may hold a sealed original" in again.err
    embedded = incog(photo, "--passphrase-file", phrase, "--overwrite", "--quiet")
    old = photo.with_name("holiday.incog.png.incog")
    assert f"warning: {old} was there before" in embedded.err
    assert old.exists()
    public = photo.with_name("public.png")
    public.with_name("public.png.incog").write_bytes(old.read_bytes())
    assert "public.png.incog was there before" in incog("strip", old.with_suffix(""), "-o", public).err
    beside = incog(photo, "--passphrase-file", phrase, "--overwrite", "--sidecar")
    assert (beside.code, "was there before" in beside.err) == (0, False)


def test_without_a_passphrase_there_is_no_vault(incog: Incog, photo: Path) -> None:
    result = incog(photo)
    assert "pseudonymised" not in result.err
    assert incog("inspect", photo.with_name("holiday.incog.png")).code == 1


@pytest.mark.parametrize("command", ["restore", "inspect", "strip", "grant"])
def test_commands_are_explained(incog: Incog, command: str) -> None:
    result = incog(command, "--help")
    assert result.code == 0
    assert "passphrase" in result.out or command == "strip"


# Recipients, grants and slots


@pytest.fixture
def friend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("friend") / "phrase", OTHER.encode())


@pytest.fixture
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(
        tmp_path_factory.mktemp("identity") / "key", f"# public key: {PUBLIC}\n{PRIVATE}\n".encode()
    )


def test_a_camera_seals_for_a_recipient(incog: Incog, photo: Path, identity: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    hidden = incog(photo, "--recipient", PUBLIC, "--recipient", PUBLIC, "--whole-file", "--report", report)
    assert hidden.code == 0
    entry = json.loads(report.read_text())["files"][0]["vault"]
    assert entry["guess"] == "none: sealed for recipients"
    assert entry["holds"] == "the original file, bit for bit"
    assert entry["share"] == pytest.approx(entry["bytes"] / photo.stat().st_size, abs=0.001)
    out = photo.with_name("holiday.incog.png")
    told = incog("inspect", out).out
    assert "2 recipient(s)" in told
    assert "none: there is no passphrase" in told
    restored = incog("restore", out, "--identity-file", identity)
    assert restored.code == 0
    assert photo.with_name("holiday.restored.png").read_bytes() == photo.read_bytes()
    for result in (hidden, restored):
        assert PRIVATE not in result.out + result.err


def test_identity_files_are_checked(incog: Incog, photo: Path, identity: Path, phrase: Path) -> None:
    incog(photo, "--recipient", PUBLIC)
    out = photo.with_name("holiday.incog.png")
    both = incog("restore", out, "--identity-file", identity, "--passphrase-file", phrase)
    assert (both.code, "must not be given together" in both.err) == (2, True)
    identity.chmod(0o644)
    shared = incog("restore", out, "--identity-file", identity)
    assert (shared.code, "readable by its owner only" in shared.err) == (1, True)
    written(identity, b"AGE-SECRET-KEY-1TYPO\n")
    wrong = incog("restore", out, "--identity-file", identity)
    assert wrong.code == 1
    assert "must hold lines of AGE-SECRET-KEY-1" in wrong.err
    assert "TYPO" not in wrong.err


def test_a_face_is_granted(
    incog: Incog, photo: Path, phrase: Path, friend: Path, tmp_path: Path, tree: Tree, most_left: MostLeft
) -> None:
    incog(photo, "--passphrase-file", phrase)
    out = photo.with_name("holiday.incog.png")
    told = incog("inspect", out).out
    assert "face 1:" in told
    assert "face 2:" not in told
    assert "the original's pixels and metadata, not its coding" in told
    granted = incog("grant", out, "--faces", "1", "--passphrase-file", phrase, "--to-passphrase-file", friend)
    assert granted.code == 0
    assert "cannot be revoked" in granted.err
    assert "still holds the original" in granted.err
    copy = photo.with_name("holiday.incog.granted.png")
    assert "1 passphrase(s), 1 passphrase(s) for 1 face(s) each" in incog("inspect", copy).out
    restored = incog("restore", copy, "--passphrase-file", friend)
    assert restored.code == 0
    assert "face(s) 1 as they were" in restored.err
    back = photo.with_name("holiday.restored.png")
    assert np.array_equal(np.asarray(Image.open(back)), np.asarray(Image.open(photo)))
    alone = incog(
        *("grant", out, "--faces", "1", "--passphrase-file", phrase, "--to-recipient", PUBLIC),
        *("--alone", "-o", tmp_path / "alone.png"),
    )
    assert alone.code == 0
    assert "still holds" not in alone.err
    assert (tmp_path / "alone.png").stat().st_size < copy.stat().st_size
    assert (
        incog("restore", tmp_path / "alone.png", "--passphrase-file", phrase, "-o", tmp_path / "x").code == 1
    )
    assert not any(name.startswith(".incog-") for name in tree(tmp_path))
    for result in (granted, restored, alone):
        assert STRONG not in result.out + result.err
        assert OTHER not in result.out + result.err


@pytest.mark.parametrize("suffix", [".png", ".gif", ".webp"])
def test_a_face_of_an_animation_is_granted(
    incog: Incog, suffix: str, astronaut: Any, phrase: Path, friend: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / f"moving{suffix}", tmp_path / f"out{suffix}"
    pictures = [Image.fromarray(np.roll(astronaut, 3 * step, 1)) for step in range(5)]
    options = {"lossless": True} if suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, **options)
    assert incog(path, "--passphrase-file", phrase, "-o", out).code == 0
    assert "face 1:     frames 0 to 4" in incog("inspect", out).out
    granted, back = tmp_path / f"granted{suffix}", tmp_path / f"back{suffix}"
    result = incog(
        *("grant", out, "--faces", "1", "--passphrase-file", phrase, "--to-passphrase-file", friend),
        *("-o", granted, "--alone"),
    )
    assert result.code == 0, result.err
    result = incog("restore", granted, "--passphrase-file", friend, "-o", back)
    assert "the published animation, encoded anew, with face(s) 1" in result.err
    before, hidden, shown = (
        np.stack([rgb8(frame) for frame in open_source(item).frames()]).astype(int)
        for item in (path, out, back)
    )
    assert len(before) == len(shown) == 5
    far, near = np.abs(hidden - before).max(axis=(0, 3)), np.abs(shown - before).max(axis=(0, 3))
    face = far > 60
    assert face.sum() > 500
    # GIF takes 256 colours a frame, and WebP is coded with loss.
    assert np.median(near[face]) <= {".png": 0, ".gif": 16, ".webp": 8}[suffix]
    assert near[face].mean() < far[face].mean() / 4


def test_a_grant_asks_for_both_passphrases(
    incog: Incog, photo: Path, phrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incog(photo, "--passphrase-file", phrase)
    out = photo.with_name("holiday.incog.png")
    prompts = typing(monkeypatch, STRONG, OTHER, OTHER)
    assert incog("grant", out, "--faces", "1").code == 0
    assert prompts == ["Your passphrase: ", "Passphrase for the grant: ", "Again: "]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--faces", "2"], "must be numbers from 1 to 1"),
        (["--faces", "one"], "--faces must be numbers such as 2,5"),
        (["--faces", "1", "--to-recipient", "age1"], "must be a public key of age"),
        (["--faces", "1", "--to-recipient", PUBLIC, "--allow-weak"], "must be given with a passphrase"),
        (["--faces", "1", "--to-recipient", PUBLIC, "--to-passphrase-file", "x"], "not be given together"),
    ],
)
def test_grants_that_make_no_sense_are_refused(
    incog: Incog, photo: Path, phrase: Path, friend: Path, tree: Tree, options: list[str], words: str
) -> None:
    incog(photo, "--passphrase-file", phrase)
    given = [] if len(options) > 2 else ["--to-passphrase-file", friend]
    result = incog(
        "grant", photo.with_name("holiday.incog.png"), "--passphrase-file", phrase, *options, *given
    )
    assert result.code == 2
    assert words in result.err
    assert tree(photo.parent) == ["holiday.incog.png", "holiday.png"]


def test_a_decoy_is_had_with_another_passphrase(
    incog: Incog, photo: Path, phrase: Path, friend: Path, tmp_path: Path
) -> None:
    decoy, report = tmp_path / "decoy.jpg", tmp_path / "report.json"
    Image.new("RGB", (60, 60)).save(decoy)
    hidden = incog(
        *(photo, "--reversible", "slots", "--passphrase-file", phrase, "--report", report),
        *("--decoy", decoy, "--decoy-passphrase-file", friend),
    )
    assert hidden.code == 0
    entry = json.loads(report.read_text())["files"][0]["vault"]
    # It would tell which of two files was the source.
    assert entry["share"] is None
    out = photo.with_name("holiday.incog.png")
    told = incog("inspect", out).out
    assert "3 slots of" in told
    assert "some may hold nothing" in told
    original = incog("restore", out, "--passphrase-file", phrase, "-o", tmp_path / "one")
    assert original.code == 0
    assert (tmp_path / "one").read_bytes() == photo.read_bytes()
    assert incog("restore", out, "--passphrase-file", friend, "-o", tmp_path / "two").code == 0
    assert (tmp_path / "two").read_bytes() == decoy.read_bytes()
    missing = incog(photo, "--passphrase-file", phrase, "--reversible", "slots", "--decoy", tmp_path / "no")
    assert (missing.code, "the decoy must be a file" in missing.err) == (1, True)
    refused = incog(photo.parent, "--passphrase-file", phrase, "--reversible", "slots", "--decoy", decoy)
    assert refused.code == 2


# Passphrases


def test_it_is_asked_for_twice_and_once(incog: Incog, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = typing(monkeypatch, STRONG, STRONG)
    assert incog(photo, "--passphrase").code == 0
    assert len(prompts) == 2
    prompts = typing(monkeypatch, STRONG)
    assert incog("restore", photo.with_name("holiday.incog.png")).code == 0
    assert len(prompts) == 1
    assert photo.with_name("holiday.restored.png").read_bytes() == photo.read_bytes()


REFUSED: dict[str, tuple[list[str], list[str], str]] = {
    "mistyped": (["--passphrase"], [STRONG, STRONG + "x"], "must be the same"),
    "weak": (["--passphrase"], [WEAK, WEAK], "must have 40 bits at least"),
    "empty": (["--passphrase"], ["", ""], "1 to 4096 bytes"),
    "two ways": (["--passphrase", "--passphrase-file", "x"], [], "must not be given together"),
    "only beside": (["--sidecar"], [], "--sidecar must be given with --passphrase"),
    "only weak": (["--allow-weak"], [], "--allow-weak must be given with --passphrase"),
    "a key that is never weak": (
        ["--key-file", "x", "--allow-weak"],
        [],
        "--allow-weak must be given with --passphrase or --passphrase-file",
    ),
    "only whole": (["--whole-file"], [], "--whole-file must be given with --passphrase"),
    "only a mode": (["--reversible", "slots"], [], "--reversible must be given with --passphrase"),
    "only slots": (["--slots", "3"], [], "--slots must be given with --passphrase"),
    "slots in exact": (["--passphrase", "--slots", "3"], [], "must be given with --reversible slots"),
    "a decoy in exact": (["--passphrase", "--decoy", "x.png"], [], "must be given with --reversible slots"),
    "a decoy's passphrase": (
        ["--passphrase", "--reversible", "slots", "--decoy-passphrase-file", "x"],
        [],
        "must be given with --decoy",
    ),
    "slots for recipients": (
        ["--passphrase", "--reversible", "slots", "--recipient", PUBLIC],
        [STRONG, STRONG],
        "slots must be opened by passphrases alone",
    ),
    "too many slots": (
        ["--passphrase", "--reversible", "slots", "--slots", "9"],
        [STRONG, STRONG],
        "the number of slots must be from 2 to 8",
    ),
    "the same for the decoy": (
        ["--passphrase", "--reversible", "slots", "--decoy", __file__],
        [STRONG, STRONG, STRONG, STRONG],
        "a passphrase of its own",
    ),
    "no public key": (["--recipient", "age1xyz"], [], "must be a public key of age"),
    "a secret key": (["--recipient", PRIVATE], [], "must be a public key of age"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_make_no_sense_are_refused(
    incog: Incog, photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options, answers, words = REFUSED[name]
    typing(monkeypatch, *answers)
    result = incog(photo, *options)
    assert result.code == 2
    assert words in result.err
    for secret in (WEAK, STRONG, PRIVATE):
        assert secret not in result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_without_a_terminal_nothing_is_asked(incog: Incog, photo: Path) -> None:
    result = incog(photo, "--passphrase")
    assert result.code == 2
    assert "--passphrase-file" in result.err


def test_weak_is_possible_on_request(incog: Incog, photo: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "weak", WEAK.encode())
    result = incog(photo, "--passphrase-file", file)
    assert result.code == 2
    assert "diceware" in result.err
    result = incog(photo, "--passphrase-file", file, "--allow-weak")
    assert result.code == 0
    assert "can guess it" in result.err


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"two\nlines\n", 0o600, "one line"),
        (b"\n", 0o600, "one line"),
        (b"x" * 4097, 0o600, "one line"),
        (b"secret \xff", 0o600, "UTF-8"),
        (STRONG.encode(), 0o644, "readable by its owner only"),
    ],
)
def test_files_that_do_not_serve_are_refused(tmp_path: Path, content: bytes, mode: int, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        from_file(written(tmp_path / "phrase", content, mode))
    assert "secret" not in str(caught.value)
    assert STRONG not in str(caught.value)


KEY = bytes(range(200, 232))


@pytest.mark.parametrize("mode", [[], ["--reversible", "slots"]])
def test_a_key_file_stands_for_a_passphrase(
    incog: Incog, photo: Path, tmp_path: Path, mode: list[str]
) -> None:
    right = written(tmp_path / "key", KEY)
    wrong = written(tmp_path / "other", KEY[::-1])
    result = incog(photo, "--key-file", right, *mode)
    assert result.code == 0, result.err
    published, back = photo.with_name("holiday.incog.png"), tmp_path / "back.png"
    assert incog("restore", published, "--key-file", wrong, "-o", back).code == 1
    assert not back.exists()
    assert incog("restore", published, "--key-file", right, "-o", back).code == 0
    assert back.read_bytes() == photo.read_bytes()
    # As docs/format.md has it, so that other programs can do it too.
    phrase = f"incog-key-file:{hashlib.sha256(KEY).hexdigest()}"
    file = written(tmp_path / "phrase", phrase.encode())
    assert incog("restore", published, "--passphrase-file", file, "-o", back, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (KEY[:31], 0o600, "32 to 65536 bytes, got 31"),
        (bytes(range(256)) * 257, 0o600, "got 65792"),
        (bytes(64), 0o600, "random bytes"),
        (KEY, 0o640, "readable by its owner only"),
    ],
)
def test_key_files_that_do_not_serve_are_refused(
    tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        from_key_file(written(tmp_path / "key", content, mode))


def test_one_way_of_opening_is_taken(incog: Incog, photo: Path, phrase: Path) -> None:
    for ways in (["--key-file", phrase], ["--identity-file", phrase]):
        result = incog("restore", photo, "--passphrase-file", phrase, *ways)
        assert result.code != 0
    result = incog(photo, "--passphrase-file", phrase, "--key-file", phrase)
    assert result.code == 2
    assert "must not be given together" in result.err


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_the_line_does_not_belong_to_it(tmp_path: Path, end: bytes) -> None:
    assert from_file(written(tmp_path / "phrase", "größer ".encode() + end)) == Passphrase("größer ")


def test_no_option_and_no_variable_takes_a_passphrase() -> None:
    group: Any = typer.main.get_command(app)
    for name in ("hide", "render", "restore", "inspect", "strip", "grant"):
        for parameter in group.commands[name].params:
            assert parameter.envvar is None
            if "passphrase" in parameter.name or "identity" in parameter.name:
                assert parameter.is_flag or parameter.name.endswith("_file")


def test_sealing_travels_to_another_process_without_showing() -> None:
    settings = Settings(
        method="fill",
        parameters={},
        secret=Secret.fresh(),
        detector="centerface",
        threshold=0.3,
        device="cpu",
        threads=1,
        seeded=False,
        options=Options(
            sealing=Sealing(Passphrase(STRONG), slots=Slots(2, (Decoy(Path("x"), Passphrase(OTHER)),)))
        ),
    )
    assert STRONG not in repr(settings)
    assert OTHER not in repr(settings)
    there = pickle.loads(pickle.dumps(settings))
    assert there.options.sealing == settings.options.sealing


# Failing closed


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), OSError(28, "No space left on device"), MemoryError()]
)
def test_when_sealing_fails_there_is_no_output(
    incog: Incog, photo: Path, phrase: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(files, "embed", fail)
    result = incog(photo, "--passphrase-file", phrase, "-v")
    assert result.code == 1
    assert STRONG not in result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_when_publishing_fails_no_vault_stays_beside(
    incog: Incog, photo: Path, phrase: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PendingFile.publish

    def publish(file: PendingFile) -> None:
        if file.target.suffix == ".png":
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(PendingFile, "publish", publish)
    assert incog(photo, "--passphrase-file", phrase, "--sidecar").code == 1
    assert tree(photo.parent) == ["holiday.png"]


def test_a_vault_of_somebody_else_is_not_replaced(
    incog: Incog, photo: Path, phrase: Path, tree: Tree
) -> None:
    beside = photo.with_name("holiday.incog.png.incog")
    beside.write_bytes(b"another vault")
    result = incog(photo, "--passphrase-file", phrase)
    assert result.code == 1
    assert "exists already" in result.err
    assert beside.read_bytes() == b"another vault"
    assert tree(photo.parent) == ["holiday.incog.png.incog", "holiday.png"]


def test_a_source_that_changes_is_not_sealed(
    incog: Incog, photo: Path, phrase: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.binding_of

    def binding(path: Path) -> bytes:
        photo.write_bytes(photo.read_bytes() + b"\0")
        return real(path)

    monkeypatch.setattr(files, "binding_of", binding)
    result = incog(photo, "--passphrase-file", phrase)
    assert result.code == 1
    assert "changed" in result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_a_set_of_people_is_sealed_file_by_file(
    incog: Incog, tmp_path: Path, phrase: Path, photo: Path, admiral: Any
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    photo.replace(folder / "one.png")
    Image.fromarray(admiral).save(folder / "two.jpg", quality=95)
    result = incog(folder, "--method", "k-same-pixel", "--set", "k=2", "--passphrase-file", phrase)
    assert result.code == 0
    assert "pseudonymised, not anonymous" in result.err
    for name in ("one.png", "two.jpg"):
        out, back = tmp_path / "set.incog" / name, tmp_path / f"back.{name}"
        assert incog("restore", out, "--passphrase-file", phrase, "-o", back).code == 0
        assert back.read_bytes() == (folder / name).read_bytes()


def test_shared_pictures_cannot_carry_vaults(incog: Incog, tmp_path: Path, phrase: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    result = incog(folder, "--method", "k-same-m", "--share-background", "--passphrase-file", phrase)
    assert result.code == 2
    assert "--passphrase with --share-background" in result.err
