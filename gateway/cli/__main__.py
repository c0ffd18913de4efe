"""``python -m gateway.cli``: the same as the command ``cinegate``."""

from gateway.cli.main import main

main()
