"""Deniable recovery: a file whose faces every passphrase brings back, and only the right one as those that were there.

The identity code of a face is mapped through its prior to uniform bits and enciphered, without anything that tells
right from wrong; the picture shows the face of the enciphered code. The format is in docs/format.md, what it holds
against whom in docs/threat-model.md.
"""
