"""The wire contract, shared by server and client, one file per resource: what goes in, what comes out.

It needs neither torch nor SQL.
"""
