"""Process plumbing: settings, runtime, gRPC, JetStream, telemetry, errors, staging. Knows no service and no CRM."""
