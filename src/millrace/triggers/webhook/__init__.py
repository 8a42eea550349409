"""Triggers of the type webhook: what their `config` takes, and what a request must show to be believed. Pure.

config          what the `config` takes       authentication  the part of it that says who may call
paths           the path of a webhook         fields          headers, and references to secrets
verification    who sent a request            signatures      by a signature of its body       tokens  by a JWT
bodies          what a request says           multipart       forms with files
"""
