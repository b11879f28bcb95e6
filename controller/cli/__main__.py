"""`python -m controller.cli`: the same as `ferryman`."""

from controller.cli import main

main()
