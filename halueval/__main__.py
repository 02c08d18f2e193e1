"""`python -m halueval`."""

from halueval.cli.main import main

if __name__ == "__main__":
    main()
