"""A soak of the release binary with real processes, over loopback.

Two servers (`plain`, and `low`, which has few file descriptors and logs to a full disk) serve ten clients, which
announce and withdraw all the time (`churn`). Meanwhile clients and servers are killed, stopped and started again
(`faults`), slow readers read next to nothing (`readers`), and strangers do what they should not (`hostile`). At a
`checkpoint` all of that stops, and then every client, every reader, and a newcomer at each server must hold exactly
what the `model` says; sessions, descriptors and threads must be what they were, memory flat, and processes idle. In
between, no line of a client may be one that nothing explains (`witness`), and no session may be lost but by a fault
of its own client or server.
"""
