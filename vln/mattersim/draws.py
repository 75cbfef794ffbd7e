"""Random starts as MatterSim draws them: C++'s generator and distributions, as libstdc++ has them.

`std::default_random_engine` is Park and Miller's minimal standard generator; the standard leaves
the distributions' algorithms open, and these are those of libstdc++ 12, drawn number for number.
"""

from __future__ import annotations

from typing import Final

MODULUS: Final = 2147483647
MULTIPLIER: Final = 16807
VALUES: Final = MODULUS - 1
"""How many values the generator gives: 1 to `MODULUS` - 1."""


class MinimalStandard:
    """C++'s `std::default_random_engine`.

    Args:
        seed: Any integer; a multiple of the modulus counts as 1.
    """

    def __init__(self, seed: int = 1) -> None:
        # C++ converts the int to an unsigned 64-bit number first.
        self._state = seed % (1 << 64) % MODULUS or 1

    def _next(self) -> int:
        self._state = self._state * MULTIPLIER % MODULUS
        return self._state - 1

    def below(self, count: int) -> int:
        """Gives a draw of `std::uniform_int_distribution<int>(0, count - 1)`."""
        scaling = (VALUES - 1) // count
        value = self._next()
        while value >= count * scaling:
            value = self._next()
        return value // scaling

    def real(self, high: float) -> float:
        """Gives a draw of `std::uniform_real_distribution<double>(0, high)`."""
        low, upper = self._next(), self._next()
        fraction = (low + upper * float(VALUES)) / (float(VALUES) * float(VALUES))
        return min(fraction, _BELOW_ONE) * high


_BELOW_ONE: Final = 1.0 - 2.0**-53
