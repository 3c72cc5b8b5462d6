"""``python -m jkoflow`` is the command ``jkoflow``."""

from .cli import main

if __name__ == "__main__":
    main()
