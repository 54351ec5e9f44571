"""`python -m cxdex` is the command `cxdex`."""

from cxdex.command.main import main

main()
