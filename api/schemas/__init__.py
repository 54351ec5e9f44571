"""The shapes of replies and of the smaller requests. They are what OpenAPI shows; order entry is in `orders`.

Amounts and prices are decimal strings, times are unix milliseconds unless a name says otherwise.
"""
