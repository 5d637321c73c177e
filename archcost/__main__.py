"""python -m archcost."""

from archcost.cli import main

if __name__ == "__main__":
    main()
