"""Serving models: over HTTP and gRPC, in one process or in two tiers."""
