"""incog takes the identity out of faces in photos, videos and datasets, and checks that it did."""

__version__ = "0.1.0"
