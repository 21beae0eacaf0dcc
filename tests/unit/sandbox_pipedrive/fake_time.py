"""Real time under a test's control."""

from sandbox.pipedrive.account.clock import SandboxClock


class FakeTime:
    """Stands in for the machine's clocks."""

    def __init__(self, epoch: float = 1_760_000_000.0) -> None:
        self.epoch = epoch
        self.steady = 1000.0

    def sleep(self, seconds: float) -> None:
        self.epoch += seconds
        self.steady += seconds

    def clock(self, *, start: float | None = None, speed: float = 1.0) -> SandboxClock:
        return SandboxClock(lambda: self.epoch, lambda: self.steady, start=start, speed=speed)
