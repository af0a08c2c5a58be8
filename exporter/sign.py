"""`sign`: whoever holds a private key vouches for a bundle, and a server that trusts the public one serves no other."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import ExportError
from models import bundle, signature
from models.files import write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EPILOG = """\
Keys are made by `sign --new-key private.pem`, or by OpenSSL:
  openssl genpkey -algorithm ed25519 -out private.pem
  openssl pkey -in private.pem -pubout -out private.public.pem
A server trusts them with `--trusted-keys private.public.pem`; `verify BUNDLE --public-key private.public.pem` checks
without one, and so does OpenSSL:
  openssl pkeyutl -verify -pubin -inkey private.public.pem -rawin -in manifest.json -sigfile manifest.sig
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write BUNDLE/manifest.sig, an Ed25519 signature over the bytes of the manifest."
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", type=Path, nargs="?", help="models/NAME/VERSION")
    parser.add_argument("--key", type=Path, metavar="PRIVATE.pem", help="the private key to sign with")
    parser.add_argument(
        "--new-key", type=Path, metavar="PRIVATE.pem", help="make a key: PRIVATE.pem and PRIVATE.public.pem"
    )


def run(options: argparse.Namespace) -> None:
    """Raises ExportError or BundleError."""
    if options.bundle is None and options.new_key is None:
        raise ExportError("nothing to do; give a bundle and --key PRIVATE.pem, or --new-key PRIVATE.pem")
    if options.new_key is not None:
        public = new_key(options.new_key)
        print(f"{options.new_key}: keep it secret; {public}: what servers get as --trusted-keys")
    if options.bundle is not None:
        key = options.key or options.new_key
        if key is None:
            raise ExportError("no key to sign with; give --key PRIVATE.pem, or --new-key PRIVATE.pem to make one")
        sign(options.bundle, key)
        print(f"{options.bundle / signature.FILE}: signed with {key}")


def sign(folder: Path, key: Path) -> None:
    """Sign a bundle whose files are what its manifest says. Raises BundleError, or ExportError about the key."""
    private = _private_key(key)
    bundle.read(folder).verify()
    write_whole(folder / signature.FILE, private.sign((folder / bundle.MANIFEST).read_bytes()))


def new_key(path: Path) -> Path:
    """Make a private key at `path`, readable by its owner only; the path of its public half. Never overwrites."""
    try:
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ExportError(signature.MISSING) from error
    key, public = Ed25519PrivateKey.generate(), path.with_suffix(".public.pem")
    for file in (path, public):
        if file.exists():
            sign_with = f"sign with it (--key {path}), " if path.exists() else ""
            raise ExportError(f"{file}: is there already; {sign_with}give --new-key another name, or move it away")
    secret = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    known_to_all = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, secret, 0o600)
    _write_new(public, known_to_all, 0o644)
    return public


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror}); give --new-key another place") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _private_key(path: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ExportError(signature.MISSING) from error
    hint = "`python -m exporter sign --new-key private.pem` makes one"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    except TypeError as error:
        raise ExportError(f"{path}: is encrypted; `openssl pkey -in {path} -out plain.pem` decrypts it") from error
    except ValueError as error:
        raise ExportError(f"{path}: not a private key in PEM form; {hint}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ExportError(f"{path}: not an Ed25519 key; {hint}")
    return key
