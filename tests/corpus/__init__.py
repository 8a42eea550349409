"""Bad input: what a stranger, a typo or a broken client may send, and what Millrace has to answer to it.

cases/*.yaml  the cases by kind, each with the answer it must get
reading       from those files to requests
made          bodies and headers that are too large or too deep to be written down
sending       one request over a socket of its own, byte by byte as the case wants it
ground        what has to be there before: a workflow, a run, an artifact, …

The test holds each answer against its case; the benchmark measures the same cases. Standard library and PyYAML only.
"""
