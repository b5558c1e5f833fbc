"""Vaults: the original of a published file, sealed under a passphrase, to be had back bit for bit.

The format is written down byte by byte in docs/format.md. A file with a vault is pseudonymised, not anonymous: it is
as safe as its passphrase.
"""
