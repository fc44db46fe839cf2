"""Connected components: who belongs together when pairs do."""

import numpy as np
import numpy.typing as npt


class Components:
    """n things, each alone at first (a disjoint-set forest with path halving)."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def find(self, i: int) -> int:
        """The thing that stands for all that `i` is joined with: the first of them."""
        while self._above[i] != i:
            self._above[i] = i = self._above[self._above[i]]
        return i

    def join(self, i: int, j: int) -> None:
        """Bring two things together, and all that they are joined with."""
        i, j = self.find(i), self.find(j)
        self._above[max(i, j)] = min(i, j)

    def codes(self) -> npt.NDArray[np.intp]:
        """For each thing [n], the first of those it is joined with."""
        return np.array([self.find(i) for i in range(len(self._above))], np.intp)
