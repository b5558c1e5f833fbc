"""Photos, animations, videos and folders: frames in, frames out, and nothing else carried over by accident."""
