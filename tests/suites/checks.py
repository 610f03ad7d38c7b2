"""Checks of the source and of the built binary: layers, writable globals."""


def jobs(ctx):
    return []
