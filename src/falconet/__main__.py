"""`python -m falconet`: the command `falconet`, of this Python."""

from falconet.cli import main

if __name__ == "__main__":
    main()
