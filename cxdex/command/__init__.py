"""The command `cxdex`: everything the client does, from a shell. `main` has the options, `view` the look."""
