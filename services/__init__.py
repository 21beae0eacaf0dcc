"""The four services.

source -> extractor --RAW--> transformer --MAPPED--> loader -> Pipedrive, and beside them the ledger, the only truth: whatever another
service or a stream holds is derived again from the ledger and the staging store. Services never import each other; they speak the
contracts of `transload.v1` and stand on `services.common`.
"""

import os

# gRPC writes a line of its own on stderr for every handshake that fails, between our JSON; it reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
