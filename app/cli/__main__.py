"""`python -m app.cli` is `forgettery`."""

from app.cli import main

main()
