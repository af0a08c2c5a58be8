"""Who made a bundle: an Ed25519 signature (RFC 8032) over the bytes of its manifest, in `manifest.sig` beside it.

The manifest holds the sha256 of every file, so the signature vouches for all of them. It is the plain 64 bytes that
OpenSSL writes and checks, too. The package `cryptography` is imported when there is something to check, not before.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import BundleError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FILE = "manifest.sig"
HOW_TO_GET_ONE = "`openssl pkey -in private.pem -pubout -out public.pem` writes one"
MISSING = "signatures need the package cryptography; install the extra with `pip install '.[signing]'`"
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def trusted_keys(path: Path) -> list["Ed25519PublicKey"]:
    """All public keys in a PEM file, or in the files *.pem of a folder. Raises BundleError if there are none."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    keys = [key for file in files for key in _keys_of(file)]
    if not keys:
        raise BundleError(f"{path}: there is no file *.pem in this folder of trusted keys; {HOW_TO_GET_ONE}")
    return keys


def check(folder: Path, manifest: bytes, trusted: Sequence["Ed25519PublicKey"]) -> None:
    """Raises BundleError unless one of the trusted keys signed these bytes of the manifest in `folder`."""
    path = folder / FILE
    try:
        signature = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"{folder}: not signed, but only bundles signed by a trusted key are accepted; sign it with "
            f"`python -m exporter sign {folder} --key private.pem`"
        ) from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    if not any(_signed(key, signature, manifest) for key in trusted):
        raise BundleError(
            f"{path}: no trusted key made this signature for this manifest: the bundle was changed, or signed with "
            "another key; get the original, or trust that key"
        )


def _signed(key: "Ed25519PublicKey", signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _keys_of(file: Path) -> list["Ed25519PublicKey"]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise BundleError(MISSING) from error
    try:
        keys = [load_pem_public_key(block) for block in _PEM.findall(file.read_bytes())]
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error.strerror}); trusted keys are PEM files") from error
    except ValueError as error:
        raise BundleError(f"{file}: a public key in it is damaged; {HOW_TO_GET_ONE}") from error
    wanted = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not wanted or len(wanted) < len(keys):
        raise BundleError(f"{file}: not an Ed25519 public key in PEM form; {HOW_TO_GET_ONE}")
    return wanted
