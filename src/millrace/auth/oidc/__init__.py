"""Logins by an OpenID Connect provider: what is asked of it, and what is believed of its answers.

    claims     who somebody is, as the provider says it, and which role that gives
    fetching   requests to the provider: guarded, bounded, and no secret in any error
    pending    a login that has begun, kept by the browser in a signed cookie
    tokens     whether an ID token can be believed
    provider   the provider: its document, its keys, and the exchange of a code for an ID token
    repository the rows of identities and of logins that were answered

No token of the provider leaves this package, and none is kept.
"""
