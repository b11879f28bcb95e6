"""The arithmetic of limits: how fast to call, how many jobs at once, whose turn it is, how long things take.

Invariant: numbers in, numbers out. No clock, no chance, no I/O, no waiting: times are seconds of a monotonic clock that
the caller passes in, chance is a `random.Random` or a number. What is learned can be stored as JSON and restored.
"""

from controller.limits.durations import Durations, DurationsState, ReadCadence, eta
from controller.limits.rate import RateLimiter, RateState, full_jitter
from controller.limits.slots import Slots, SlotsState
from controller.limits.spend import Spend, is_spent
from controller.limits.turns import LastTurns, Turns

__all__ = [
    "Durations",
    "DurationsState",
    "LastTurns",
    "RateLimiter",
    "RateState",
    "ReadCadence",
    "Slots",
    "SlotsState",
    "Spend",
    "Turns",
    "eta",
    "full_jitter",
    "is_spent",
]
