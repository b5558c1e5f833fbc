"""From a secret to the randomness of one face.

All randomness of a result comes from keys: ``key = HKDF(secret, purpose, scope)`` with every field length-prefixed, so
that no two scopes can collide, and ``Stream(key, ...)`` turns a key into numbers. So a result does not depend on
batch size, order or the number of workers.
"""
