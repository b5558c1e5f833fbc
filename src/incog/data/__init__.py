"""Datasets of faces: how they lie on disk, who is in them, how they are aligned and split."""
