"""``python -m fastconv`` is the ``fastconv`` command."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="fastconv")
