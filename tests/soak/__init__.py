"""A soak test of the release binary with real processes over loopback.

Two servers (`plain`, and `low`, which has few file descriptors and logs to a full disk) serve ten clients, which
announce and withdraw routes all the time (`churn`). Meanwhile clients and servers are killed, stopped and restarted
(`faults`), slow readers read very little (`readers`), and hostile peers violate the protocol (`hostile`). All of this
stops at a `checkpoint`. Then every client, every reader and a new subscriber at each server must have exactly the
routes of the `model`; sessions, descriptors and threads must be the same as at the start, memory must not grow, and
processes must be idle. Between checkpoints, every line that a client prints must have an explanation (`witness`), and a
session may be lost only because of a fault of its own client or server.
"""
