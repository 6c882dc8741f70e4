"""The plumbing that all services share: the log, settings, sealing, the command line."""
