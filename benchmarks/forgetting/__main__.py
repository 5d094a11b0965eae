"""python -m benchmarks.forgetting: see `run`."""

from benchmarks.forgetting.run import main

main()
