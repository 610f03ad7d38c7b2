"""Hostile programs: the sandbox and the other processes in it survive them."""


def jobs(ctx):
    return []
