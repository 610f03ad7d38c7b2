"""Bad input and killed helpers: one clear sentence, a non-zero status, nothing left behind."""


def jobs(ctx):
    return []
