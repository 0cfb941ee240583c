"""The commands of `quire`, one noun a module. `web.cli` loads the one that is asked for."""
