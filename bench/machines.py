"""Renew the README's table of machines from docs/measured: for files that were taken away, or came by hand.

    python bench/machines.py

``fastconv bench --all --save`` does it by itself.
"""

from fastconv.measure.record import renew

if __name__ == "__main__":
    print(renew())
