"""Signatures: made and checked by our commands and by OpenSSL alike, and refused in one sentence."""

import argparse
import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import sign
from exporter.__main__ import main
from exporter.errors import ExportError
from models import bundle, integrity, signature
from models.bundle import BundleError
from tests.processes import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that may be changed."""
    return Path(shutil.copytree(ROOT / "models" / "forecast-stock" / "1", tmp_path / "forecast-stock" / "1"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    sign.new_key(tmp_path / "private.pem")
    return tmp_path / "private.pem"


def command(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    sign.add_arguments(parser)
    sign.run(parser.parse_args(list(map(str, arguments))))


def read(folder: Path, *trusted: Path) -> bundle.Bundle:
    return bundle.read(folder, [key for path in trusted for key in signature.trusted_keys(path)])


def test_a_signed_bundle_is_read_with_its_key_only(folder: Path, key: Path, tmp_path: Path) -> None:
    other = sign.new_key(tmp_path / "other.pem")
    command(folder, "--key", key)
    assert read(folder, key.with_suffix(".public.pem")).manifest == bundle.read(folder).manifest
    assert read(folder, other, key.with_suffix(".public.pem")).manifest.name == "forecast-stock"
    with pytest.raises(BundleError, match="no trusted key made this signature for this manifest"):
        read(folder, other)


def test_an_unsigned_bundle_is_refused_and_told_how_to_sign(folder: Path, key: Path) -> None:
    with pytest.raises(BundleError, match=r"not signed, .* `python -m exporter sign .* --key private\.pem`"):
        read(folder, key.with_suffix(".public.pem"))


def test_a_resealed_edit_breaks_the_signature(folder: Path, key: Path) -> None:
    """The digest alone stops accidents; only the signature stops somebody who computes it anew."""
    sign.sign(folder, key)
    path = folder / "manifest.json"
    edited = json.loads(path.read_bytes()) | {"title": "another"}
    path.write_text(json.dumps(edited | {"digest": integrity.digest(edited)}))
    assert bundle.read(folder).manifest.title == "another"
    with pytest.raises(BundleError, match="no trusted key"):
        read(folder, key.with_suffix(".public.pem"))


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64, b"0" * 65])
def test_a_damaged_signature_is_refused(folder: Path, key: Path, damage: bytes) -> None:
    (folder / "manifest.sig").write_bytes(damage)
    with pytest.raises(BundleError, match="no trusted key"):
        read(folder, key.with_suffix(".public.pem"))


def test_a_changed_bundle_is_not_signed(folder: Path, key: Path) -> None:
    (folder / "card.md").write_text("better")
    with pytest.raises(BundleError, match=r"card\.md: its sha256 is"):
        sign.sign(folder, key)
    assert not (folder / "manifest.sig").exists()


def test_openssl_makes_keys_and_checks_signatures(folder: Path, tmp_path: Path) -> None:
    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    private, public, sealed = tmp_path / "its.pem", tmp_path / "its.public.pem", folder / "manifest.json"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    sign.sign(folder, private)
    assert read(folder, public).manifest.name == "forecast-stock"
    check = ("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", sealed, "-sigfile")
    openssl(*check, folder / "manifest.sig")
    sealed.write_bytes(sealed.read_bytes() + b" ")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(*check, folder / "manifest.sig")


def test_a_folder_of_keys_and_a_file_of_two_are_read(key: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    first, second = key.with_suffix(".public.pem"), sign.new_key(tmp_path / "second.pem")
    (keys / "both.pem").write_bytes(first.read_bytes() + second.read_bytes())
    shutil.copy(first, keys / "first.pem")
    assert len(signature.trusted_keys(keys)) == 3


def test_a_new_key_is_secret_and_overwrites_nothing(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    with pytest.raises(
        ExportError, match=r"there already; sign with it \(--key \S*private\.pem\), give --new-key another"
    ):
        command("--new-key", key)
    for taken in (key, key.with_name("private.public.pem")):
        with pytest.raises(ExportError, match="is there already"):
            command("--new-key", key)
        taken.unlink()
        if taken == key:
            with pytest.raises(ExportError, match=r"private\.public\.pem: is there already; give --new-key"):
                command("--new-key", key)
    command("--new-key", key)
    assert key.read_bytes() != before


def test_one_command_makes_a_key_and_signs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(folder, "--new-key", tmp_path / "new.pem")
    assert "keep it secret" in capsys.readouterr().out
    assert read(folder, tmp_path / "new.public.pem").unlisted() == []


@pytest.mark.parametrize("arguments", [[], ["models/forecast-stock/1"]])
def test_a_command_without_a_key_says_what_to_give(arguments: list[str]) -> None:
    with pytest.raises(ExportError, match=r"--new-key PRIVATE\.pem"):
        command(*arguments)


def rsa(path: Path, *more: str) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", *more, "-out", str(path)], check=True, capture_output=True)


def test_what_is_no_private_key_is_refused(folder: Path, tmp_path: Path, key: Path) -> None:
    rsa(tmp_path / "rsa.pem", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    rsa(tmp_path / "locked.pem", "ed25519", "-aes256", "-pass", "pass:x")
    reasons = {
        "none.pem": "cannot be read",
        "rsa.pem": "not an Ed25519 key",
        "locked.pem": "is encrypted",
        "private.public.pem": "not a private key in PEM form",
    }
    for name, reason in reasons.items():
        with pytest.raises(ExportError, match=reason):
            sign.sign(folder, tmp_path / name)


def test_what_is_no_public_key_is_refused(tmp_path: Path, key: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    reasons = {
        "none.pem": "cannot be read",
        "empty": r"no file \*\.pem",
        "broken.pem": "is damaged",
        "private.pem": "not an Ed25519 public key",
    }
    for name, reason in reasons.items():
        with pytest.raises(BundleError, match=reason) as raised:
            signature.trusted_keys(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_without_the_extra_it_says_what_to_install(key: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fails(name: str, *arguments: object, **more: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    public = key.with_suffix(".public.pem")
    monkeypatch.setattr(builtins, "__import__", fails)
    for act in (lambda: sign.sign(folder, key), lambda: sign.new_key(folder / "k.pem"), lambda: read(folder, public)):
        with pytest.raises((ExportError, BundleError), match=r"pip install '\.\[signing\]'"):
            act()


def test_the_command_line_signs_and_verifies(
    folder: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sign", str(folder), "--key", str(key)])
    (folder / "notes.txt").write_text("mine")
    main(["verify", str(folder), "--public-key", str(key.with_suffix(".public.pem"))])
    answer = capsys.readouterr().out
    assert "private.public.pem signed" in answer
    assert "never opened: notes.txt" in answer
    with pytest.raises(SystemExit, match=r"^error: .* no trusted key made this signature"):
        main(["verify", str(folder), "--public-key", str(sign.new_key(tmp_path / "other.pem"))])
    with pytest.raises(SystemExit, match=r"^error: .*none\.pem: cannot be read"):
        main(["sign", str(folder), "--key", str(tmp_path / "none.pem")])


def test_nothing_of_it_is_imported_before_it_is_needed() -> None:
    program = "import sys, exporter.sign, models.bundle, server.registry; print('cryptography' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert answer.stdout == "False\n"
