"""`python -m edgewright.pipeline`: the same as `edgewright`, for launchers such as torchrun."""

from edgewright.pipeline.cli.main import main

if __name__ == "__main__":
    main()
