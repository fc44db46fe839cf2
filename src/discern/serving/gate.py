"""Who asks, and how often: one rule for HTTP and gRPC."""

from dataclasses import dataclass

from discern.serving.access import Keys
from discern.serving.rate import RateLimiter, sender


@dataclass(frozen=True)
class Gate:
    """Keys, if any are asked for, and a rate, if there is one."""

    keys: Keys
    rate: RateLimiter | None

    def admit(self, key: str | None, address: str) -> str | None:
        """The key's owner, None where no key is asked for.

        Those who guess keys are counted by their address. Raises UnauthorisedError and
        RateLimitedError.
        """
        owner = None
        try:
            if self.keys:
                owner = self.keys.owner(key)
        finally:
            if self.rate:
                self.rate.admit(owner or sender(address))
        return owner
