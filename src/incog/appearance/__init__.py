"""The appearance model: faces as shape and shape-normalised texture, taken apart, drawn anew and painted."""
