"""The `pixio-edge` command, one file per verb."""
