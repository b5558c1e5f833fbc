"""``python -m incog`` is the command ``incog``."""

from incog.cli import main

main()
