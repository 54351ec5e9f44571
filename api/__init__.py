"""The API: everything a person or a bot talks to. It never holds a key of a user or of the settler."""
