"""The whole exchange under load while its processes are killed, its node restarted and its chain reorganised."""
