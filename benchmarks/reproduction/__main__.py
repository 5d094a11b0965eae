"""python -m benchmarks.reproduction: see `run`."""

from benchmarks.reproduction.run import main

main()
